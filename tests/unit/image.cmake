# Tests of the layer image. image_files.c makes encoded pictures with the libraries' own encoders.
set(here ${CMAKE_CURRENT_LIST_DIR})
fettle_test(image_golden SOURCES ${here}/test_image_golden.c ${PROJECT_SOURCE_DIR}/tests/parity/image_make.c USES image store)
fettle_test(image_decode SOURCES ${here}/test_image_decode.c ${here}/image_files.c USES image)
fettle_test(image_hostile SOURCES ${here}/test_image_hostile.c ${here}/image_files.c USES image)
fettle_test(image_resize SOURCES ${here}/test_image_resize.c ${here}/image_files.c USES image)
fettle_test(image_augment SOURCES ${here}/test_image_augment.c ${here}/image_files.c USES image)
