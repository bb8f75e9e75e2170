# Derivatives of operators and of what models compose from them; the published numbers for double backward.
foreach(part gradient compose)
  fettle_test(op_${part} SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_op_${part}.c ${CMAKE_CURRENT_LIST_DIR}/probe.c USES exec kernel plan graph tensor base TIMEOUT 300)
endforeach()
fettle_test(op_golden SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_op_golden.c ${CMAKE_CURRENT_LIST_DIR}/double_backward.c USES store exec kernel plan graph tensor base)
fettle_test(op_step SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_op_step.c USES exec kernel plan graph tensor base)
fettle_test(op_filters SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_op_filters.c USES exec kernel plan graph tensor base)
