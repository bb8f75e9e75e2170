foreach(part build gradient pass scale group text table)
  fettle_test(graph_${part} SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_graph_${part}.c USES graph tensor base)
endforeach()
