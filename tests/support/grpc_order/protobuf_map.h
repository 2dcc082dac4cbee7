// Included before all else in builds for ThreadSanitizer: protobuf's map fields have two more
// members there, for a check of their own, and the library, which was built without it, does not
// know them.
#ifdef __cplusplus
#pragma push_macro("__SANITIZE_THREAD__")
#undef __SANITIZE_THREAD__
#include <google/protobuf/map_field.h>
#pragma pop_macro("__SANITIZE_THREAD__")
#endif
