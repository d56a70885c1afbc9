// HDF5Files
