#ifndef GRADD_CORE_BASE_VERSION_H_
#define GRADD_CORE_BASE_VERSION_H_

namespace gradd {

// As in CMakeLists.txt and CHANGELOG.md.
inline constexpr char kVersion[] = GRADD_VERSION;

}  // namespace gradd

#endif  // GRADD_CORE_BASE_VERSION_H_
