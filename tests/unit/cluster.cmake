fettle_test(cluster SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_cluster.c USES cluster kernel base)
