fettle_test(image_golden SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_image_golden.c ${PROJECT_SOURCE_DIR}/tests/parity/image_make.c
  USES image store)
