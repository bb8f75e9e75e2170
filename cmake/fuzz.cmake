# fettle_fuzz(NAME SOURCES a.c ... USES layer ...): a libFuzzer program fuzz_NAME, part of the target `fuzzers`.
# Including this file switches the whole build to clang's coverage and sanitizers, so it is included from
# tests/fuzz/*.cmake under if(FETTLE_FUZZ) only. tests/fuzz/run.sh configures, builds and runs.
include_guard(GLOBAL)

if(NOT CMAKE_C_COMPILER_ID MATCHES "Clang")
  message(FATAL_ERROR "FETTLE_FUZZ needs clang: configure with -DCMAKE_C_COMPILER=clang (tests/fuzz/run.sh does)")
endif()
if(FETTLE_OPENMP)
  message(FATAL_ERROR "FETTLE_FUZZ needs -DFETTLE_OPENMP=OFF (tests/fuzz/run.sh does that)")
endif()

set(fuzz_sanitizers address,undefined)
target_compile_options(fettle_flags INTERFACE
  -fsanitize=fuzzer-no-link,${fuzz_sanitizers} -fno-omit-frame-pointer -fno-sanitize-recover=all)
target_link_options(fettle_flags INTERFACE -fsanitize=${fuzz_sanitizers})
add_custom_target(fuzzers)

function(fettle_fuzz name)
  cmake_parse_arguments(F "" "" "SOURCES;USES" ${ARGN})
  add_executable(fuzz_${name} EXCLUDE_FROM_ALL ${F_SOURCES})
  target_link_libraries(fuzz_${name} PRIVATE fettle_flags)
  foreach(u ${F_USES})
    target_link_libraries(fuzz_${name} PRIVATE fet_${u})
  endforeach()
  target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
  add_dependencies(fuzzers fuzz_${name})
endfunction()
