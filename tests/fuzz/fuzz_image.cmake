# Fuzz targets of the layer image, one for each format, and the program that made their seeds (`image_corpus
# tests/fuzz/corpus`).
if(FETTLE_FUZZ)
  include(${PROJECT_SOURCE_DIR}/cmake/fuzz.cmake)
  foreach(format jpeg png webp pnm bmp)
    fettle_fuzz(${format} SOURCES ${CMAKE_CURRENT_LIST_DIR}/fuzz_${format}.c ${CMAKE_CURRENT_LIST_DIR}/image_target.c
      ${PROJECT_SOURCE_DIR}/tests/unit/image_files.c USES image base)
    target_include_directories(fuzz_${format} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
  endforeach()
endif()
add_executable(image_corpus EXCLUDE_FROM_ALL ${CMAKE_CURRENT_LIST_DIR}/image_corpus.c
  ${PROJECT_SOURCE_DIR}/tests/unit/image_files.c)
target_include_directories(image_corpus PRIVATE ${PROJECT_SOURCE_DIR}/tests)
target_link_libraries(image_corpus PRIVATE fettle_flags fet_image)
