# Fuzz target: the text of an augmentation.
if(FETTLE_FUZZ)
  include(${PROJECT_SOURCE_DIR}/cmake/fuzz.cmake)
  fettle_fuzz(augment SOURCES ${CMAKE_CURRENT_LIST_DIR}/fuzz_augment.c USES data image base)
endif()
