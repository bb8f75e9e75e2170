# Tests of the layer metric. The store is there to read the reference values.
fettle_test(metric_class SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_metric_class.c USES metric store tensor base)
