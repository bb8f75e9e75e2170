# Fuzz targets of the search: the file of a network, the profile of a device.
if(FETTLE_FUZZ)
  include(${PROJECT_SOURCE_DIR}/cmake/fuzz.cmake)
  fettle_fuzz(arch_file SOURCES ${CMAKE_CURRENT_LIST_DIR}/fuzz_arch_file.c USES model adapter nn graph store image tensor base)
  fettle_fuzz(profile SOURCES ${CMAKE_CURRENT_LIST_DIR}/fuzz_profile.c USES method)
endif()
