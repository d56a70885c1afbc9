#pragma once
#include <nifti/znzlib.h>
