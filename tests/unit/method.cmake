# Tests of the layer method, inside and through the public headers.
fettle_test(method_options SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_method_options.c
  USES method train model adapter data store exec graph tensor base)
fettle_test(method_api SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_method_api.c USES method)
fettle_test(method_bench SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_method_bench.c USES method)
