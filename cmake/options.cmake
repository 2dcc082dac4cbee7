# Compiler options of every target, and the two ways to add one.

add_library(gradd_options INTERFACE)
target_include_directories(gradd_options INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_definitions(gradd_options INTERFACE GRADD_VERSION="${PROJECT_VERSION}")
# Same bits on every machine: no contraction into fused multiply-add. Without
# -fno-math-errno no loop with a square root is vectorized.
target_compile_options(gradd_options INTERFACE
  -ffp-contract=off -fno-math-errno -fno-trapping-math
  -Wall -Wextra -Wshadow -Wconversion)
if(GRADD_WARNINGS_AS_ERRORS)
  target_compile_options(gradd_options INTERFACE -Werror)
endif()
if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  target_compile_options(gradd_options INTERFACE -Wthread-safety)
endif()
# The library's own checks, and assert(), where there is no NDEBUG.
target_compile_definitions(gradd_options INTERFACE $<$<CONFIG:Debug>:_GLIBCXX_ASSERTIONS>)
if(GRADD_SANITIZE)
  add_compile_options(-fsanitize=${GRADD_SANITIZE} -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${GRADD_SANITIZE})
  if(GRADD_SANITIZE MATCHES "undefined")
    add_compile_options(-fno-sanitize-recover=undefined)
  endif()
endif()

# gradd_compile_together(<name> [<batch size>] [APART <file>...])
# Compiles the sources of a target as one file, or as files of so many sources each where there are
# too many for one: the headers of gRPC, Abseil, protobuf and GoogleTest take longer than the code
# that includes them. What is at the level of a namespace needs a name that no other source has.
# Those APART are compiled each by itself, as kernels are, which include little and take long.
function(gradd_compile_together name)
  cmake_parse_arguments(arg "" "" "APART" ${ARGN})
  set(batch_size 0)
  if(arg_UNPARSED_ARGUMENTS)
    set(batch_size ${arg_UNPARSED_ARGUMENTS})
  endif()
  set_target_properties(${name} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE ${batch_size})
  set_source_files_properties(${arg_APART} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
endfunction()

# For what takes longer to optimize than to run: command lines, tests.
function(gradd_compile_quickly name)
  target_compile_options(${name} PRIVATE $<$<CONFIG:Release>:-O1>)
endfunction()

# For what has no loop over elements, where -O3 takes a fifth longer than -O2 and gains nothing.
function(gradd_compile_without_kernels name)
  target_compile_options(${name} PRIVATE $<$<CONFIG:Release>:-O2>)
endfunction()

# gradd_library(<name> SOURCES <file>... [LINK <target>...])
# A library; header-only when no source is given.
function(gradd_library name)
  cmake_parse_arguments(arg "" "" "SOURCES;LINK" ${ARGN})
  if(arg_SOURCES)
    add_library(${name} STATIC ${arg_SOURCES})
    target_link_libraries(${name} PUBLIC gradd_options ${arg_LINK})
  else()
    add_library(${name} INTERFACE)
    target_link_libraries(${name} INTERFACE gradd_options ${arg_LINK})
  endif()
endfunction()

# gradd_program(<name> SOURCES <file>... [LINK <target>...])
# One of the programs people run; all of them end up in bin/.
function(gradd_program name)
  cmake_parse_arguments(arg "" "" "SOURCES;LINK" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE gradd_options ${arg_LINK})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
  install(TARGETS ${name} RUNTIME DESTINATION bin)
endfunction()
