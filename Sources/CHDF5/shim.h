#pragma once

// The C library names its type and property-list identifiers by macros that Swift does not import, and some of its
// functions by macros that choose a version; the small functions below stand for them.

#include <hdf5.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/// Must be called under the caller's lock at the start of every access. Error printing is a setting of each thread, so
/// it is turned off on every call; filters from plug-in folders and links into other files are turned off for good.
static inline int chdf5_prepare(void) {
  if (H5open() < 0) return -1;
  H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
  H5Eclear2(H5E_DEFAULT);
  return 0;
}

static inline void chdf5_restrict(void) {
  H5PLset_loading_state(0);
  H5Lunregister(H5L_TYPE_EXTERNAL);
}

typedef enum {
  CHDF5_FLOAT32, CHDF5_FLOAT64,
  CHDF5_INT8, CHDF5_INT16, CHDF5_INT32, CHDF5_INT64,
  CHDF5_UINT8, CHDF5_UINT16, CHDF5_UINT32, CHDF5_UINT64
} chdf5_kind;

/// The element type in memory.
static inline hid_t chdf5_native_type(chdf5_kind kind) {
  switch (kind) {
  case CHDF5_FLOAT32: return H5T_NATIVE_FLOAT;
  case CHDF5_FLOAT64: return H5T_NATIVE_DOUBLE;
  case CHDF5_INT8: return H5T_NATIVE_INT8;
  case CHDF5_INT16: return H5T_NATIVE_INT16;
  case CHDF5_INT32: return H5T_NATIVE_INT32;
  case CHDF5_INT64: return H5T_NATIVE_INT64;
  case CHDF5_UINT8: return H5T_NATIVE_UINT8;
  case CHDF5_UINT16: return H5T_NATIVE_UINT16;
  case CHDF5_UINT32: return H5T_NATIVE_UINT32;
  case CHDF5_UINT64: return H5T_NATIVE_UINT64;
  }
  return -1;
}

/// The element type in files: little endian on every machine.
static inline hid_t chdf5_file_type(chdf5_kind kind) {
  switch (kind) {
  case CHDF5_FLOAT32: return H5T_IEEE_F32LE;
  case CHDF5_FLOAT64: return H5T_IEEE_F64LE;
  case CHDF5_INT8: return H5T_STD_I8LE;
  case CHDF5_INT16: return H5T_STD_I16LE;
  case CHDF5_INT32: return H5T_STD_I32LE;
  case CHDF5_INT64: return H5T_STD_I64LE;
  case CHDF5_UINT8: return H5T_STD_U8LE;
  case CHDF5_UINT16: return H5T_STD_U16LE;
  case CHDF5_UINT32: return H5T_STD_U32LE;
  case CHDF5_UINT64: return H5T_STD_U64LE;
  }
  return -1;
}

/// A new string type, fixed length or (`length` 0) variable length, UTF-8 or ASCII. The caller closes it.
static inline hid_t chdf5_string_type(size_t length, bool utf8) {
  hid_t type = H5Tcopy(H5T_C_S1);
  if (type < 0) return type;
  herr_t status = H5Tset_size(type, length == 0 ? H5T_VARIABLE : length);
  if (status >= 0) status = H5Tset_cset(type, utf8 ? H5T_CSET_UTF8 : H5T_CSET_ASCII);
  if (status >= 0) status = H5Tset_strpad(type, length == 0 ? H5T_STR_NULLTERM : H5T_STR_NULLPAD);
  if (status < 0) {
    H5Tclose(type);
    return -1;
  }
  return type;
}

static inline hid_t chdf5_default_properties(void) { return H5P_DEFAULT; }
static inline hid_t chdf5_dataset_creation(void) { return H5Pcreate(H5P_DATASET_CREATE); }
static inline hid_t chdf5_link_creation(void) { return H5Pcreate(H5P_LINK_CREATE); }
static inline hid_t chdf5_dataset_access(void) { return H5Pcreate(H5P_DATASET_ACCESS); }
static inline hid_t chdf5_whole_space(void) { return H5S_ALL; }

/// A group creation list that keeps the order of creation and no time stamps.
static inline hid_t chdf5_group_creation(void) {
  hid_t list = H5Pcreate(H5P_GROUP_CREATE);
  if (list < 0) return list;
  if (H5Pset_link_creation_order(list, H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED) < 0 ||
      H5Pset_obj_track_times(list, false) < 0) {
    H5Pclose(list);
    return -1;
  }
  return list;
}

static inline hid_t chdf5_file_access(void) {
  hid_t list = H5Pcreate(H5P_FILE_ACCESS);
  if (list < 0) return list;
  H5Pset_fclose_degree(list, H5F_CLOSE_STRONG);
#if H5_VERSION_GE(1, 10, 7)
  H5Pset_file_locking(list, true, true);
#endif
  // From format 1.10 on, every piece of metadata carries a checksum.
  H5Pset_libver_bounds(list, H5F_LIBVER_V110, H5F_LIBVER_LATEST);
  return list;
}

static inline hid_t chdf5_open_file(const char *path) {
  hid_t access = chdf5_file_access();
  if (access < 0) return access;
  hid_t file = H5Fopen(path, H5F_ACC_RDONLY, access);
  H5Pclose(access);
  return file;
}

static inline hid_t chdf5_create_file(const char *path) {
  hid_t access = chdf5_file_access();
  if (access < 0) return access;
  hid_t creation = H5Pcreate(H5P_FILE_CREATE);
  hid_t file = -1;
  if (creation >= 0 &&
      H5Pset_link_creation_order(creation, H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED) >= 0 &&
      H5Pset_obj_track_times(creation, false) >= 0)
    file = H5Fcreate(path, H5F_ACC_EXCL, creation, access);
  if (creation >= 0) H5Pclose(creation);
  H5Pclose(access);
  return file;
}

typedef int (*chdf5_name_visitor)(const char *name, void *context);
typedef struct {
  chdf5_name_visitor visit;
  void *context;
} chdf5_visit;

static inline herr_t chdf5_visit_link(hid_t group, const char *name, const H5L_info_t *info, void *data) {
  (void)group; (void)info;
  chdf5_visit *visit = (chdf5_visit *)data;
  return visit->visit(name, visit->context);
}

/// Calls `visit` for every link, in the order of creation where the group keeps it, otherwise by name.
static inline herr_t chdf5_each_link(hid_t group, chdf5_name_visitor visitor, void *context) {
  unsigned flags = 0;
  hid_t creation = H5Gget_create_plist(group);
  if (creation >= 0) {
    if (H5Pget_link_creation_order(creation, &flags) < 0) flags = 0;
    H5Pclose(creation);
  }
  chdf5_visit visit = {visitor, context};
  hsize_t index = 0;
  H5_index_t order = (flags & H5P_CRT_ORDER_TRACKED) ? H5_INDEX_CRT_ORDER : H5_INDEX_NAME;
  return H5Literate(group, order, H5_ITER_INC, &index, chdf5_visit_link, &visit);
}

static inline herr_t chdf5_visit_attribute(hid_t object, const char *name, const H5A_info_t *info, void *data) {
  (void)object; (void)info;
  chdf5_visit *visit = (chdf5_visit *)data;
  return visit->visit(name, visit->context);
}

static inline herr_t chdf5_each_attribute(hid_t object, chdf5_name_visitor visitor, void *context) {
  chdf5_visit visit = {visitor, context};
  hsize_t index = 0;
  return H5Aiterate2(object, H5_INDEX_NAME, H5_ITER_INC, &index, chdf5_visit_attribute, &visit);
}

typedef struct {
  char *text;
  size_t capacity;
  bool found;
} chdf5_message;

static inline herr_t chdf5_visit_error(unsigned n, const H5E_error2_t *error, void *data) {
  (void)n;
  chdf5_message *message = (chdf5_message *)data;
  if (!message->found && error->desc != NULL) {
    snprintf(message->text, message->capacity, "%s (%s)", error->desc,
             error->func_name != NULL ? error->func_name : "HDF5");
    message->found = true;
  }
  return 0;
}

/// The innermost entry of the library's error stack, which is then cleared.
static inline void chdf5_error_message(char *text, size_t capacity) {
  chdf5_message message = {text, capacity, false};
  if (capacity > 0) text[0] = 0;
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, chdf5_visit_error, &message);
  H5Eclear2(H5E_DEFAULT);
}

static inline H5T_conv_ret_t chdf5_conversion_exception(
    H5T_conv_except_t exception, hid_t source, hid_t destination, void *from, void *to, void *data) {
  (void)source; (void)destination; (void)from; (void)to; (void)data;
  if (exception == H5T_CONV_EXCEPT_RANGE_HI || exception == H5T_CONV_EXCEPT_RANGE_LOW) return H5T_CONV_ABORT;
  return H5T_CONV_UNHANDLED;
}

/// A transfer list whose reads fail, instead of clipping, when a number does not fit the type in memory.
static inline hid_t chdf5_strict_transfer(void) {
  hid_t list = H5Pcreate(H5P_DATASET_XFER);
  if (list < 0) return list;
  if (H5Pset_type_conv_cb(list, chdf5_conversion_exception, NULL) < 0) {
    H5Pclose(list);
    return -1;
  }
  return list;
}
