# Tests of the layer image. image_files.c makes encoded pictures with the libraries' own encoders.
set(image_here ${CMAKE_CURRENT_LIST_DIR})
fettle_test(image_golden SOURCES ${image_here}/test_image_golden.c ${PROJECT_SOURCE_DIR}/tests/parity/image_make.c
  USES image store)
foreach(part decode hostile resize augment)
  fettle_test(image_${part} SOURCES ${image_here}/test_image_${part}.c ${image_here}/image_files.c USES image)
endforeach()
