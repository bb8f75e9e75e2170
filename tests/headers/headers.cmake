add_test(NAME headers_alone COMMAND sh ${CMAKE_CURRENT_LIST_DIR}/check_headers.sh
  ${CMAKE_C_COMPILER} ${CMAKE_CXX_COMPILER} ${PROJECT_SOURCE_DIR}/include)
set_tests_properties(headers_alone PROPERTIES TIMEOUT 120)
