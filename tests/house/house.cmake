add_test(NAME house_layers COMMAND sh ${CMAKE_CURRENT_LIST_DIR}/check_layers.sh ${PROJECT_SOURCE_DIR})
add_test(NAME house_layers_sees COMMAND sh ${CMAKE_CURRENT_LIST_DIR}/check_layers_test.sh ${CMAKE_CURRENT_LIST_DIR}/check_layers.sh)
set_tests_properties(house_layers house_layers_sees PROPERTIES TIMEOUT 120)
