// Included before all else in builds for ThreadSanitizer: protobuf's map fields have two more
// members there, for a check of their own, and the library, which was built without it, does not
// know them.
#ifdef __cplusplus
// The standard library looks for ThreadSanitizer where its first header is read. It must find it:
// else shared pointers read both of their counts at once, which ThreadSanitizer takes for a race.
#include <memory>
#ifndef _GLIBCXX_TSAN
#error "the standard library does not know that ThreadSanitizer watches"
#endif
#pragma push_macro("__SANITIZE_THREAD__")
#undef __SANITIZE_THREAD__
#include <google/protobuf/map_field.h>
#pragma pop_macro("__SANITIZE_THREAD__")
#endif
