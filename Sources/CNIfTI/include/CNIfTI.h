// The system's libnifti. Its headers include each other by bare name although they are installed in a folder.
#pragma once
#include <nifti/nifti1_io.h>
