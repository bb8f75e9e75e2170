fettle_test(plan_span SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_plan_span.c USES plan base)
fettle_test(plan_order SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_plan_order.c USES plan base)
fettle_test(plan_repeat SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_plan_repeat.c USES plan base)
