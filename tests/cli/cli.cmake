# Tests of the program as scripts use it, of the shared library's symbols, of the example, and of runs that are killed.
set(cli_here ${CMAKE_CURRENT_LIST_DIR})
pkg_check_modules(cli_test_jansson REQUIRED IMPORTED_TARGET jansson)
add_executable(json_check ${cli_here}/json_check.c)
target_link_libraries(json_check PRIVATE fettle_flags PkgConfig::cli_test_jansson)
add_executable(hostile_pictures ${cli_here}/hostile_pictures.c ${PROJECT_SOURCE_DIR}/tests/unit/image_files.c)
target_include_directories(hostile_pictures PRIVATE ${PROJECT_SOURCE_DIR}/tests)
target_link_libraries(hostile_pictures PRIVATE fettle_flags fet_image)
add_executable(xor_neuron ${cli_here}/xor_neuron.c)
target_link_libraries(xor_neuron PRIVATE fettle_flags fet_train)

pkg_check_modules(cli_test_zip REQUIRED IMPORTED_TARGET libzip)
add_executable(make_bands ${cli_here}/make_bands.c)
target_link_libraries(make_bands PRIVATE fettle_flags PkgConfig::cli_test_zip)

add_executable(cut_tensor ${cli_here}/cut_tensor.c)
target_include_directories(cut_tensor PRIVATE ${PROJECT_SOURCE_DIR}/src)
target_link_libraries(cut_tensor PRIVATE fettle_flags fet_store)

# cli_script(NAME TIMEOUT ARGUMENT...): NAME.sh with the harness, the program and the JSON checker in front.
function(cli_script name timeout)
  add_test(NAME cli_${name} COMMAND sh ${cli_here}/${name}.sh ${cli_here}/harness.sh $<TARGET_FILE:fettle>
    $<TARGET_FILE:json_check> ${ARGN})
  set_tests_properties(cli_${name} PROPERTIES TIMEOUT ${timeout})
endfunction()
cli_script(usage 120 ${PROJECT_SOURCE_DIR}/recipes)
cli_script(hostile 600 $<TARGET_FILE:hostile_pictures>)
cli_script(path 600 ${PROJECT_SOURCE_DIR}/recipes)
cli_script(reid 600)
cli_script(augment 120 ${PROJECT_SOURCE_DIR}/recipes)
cli_script(mabn 600 $<TARGET_FILE:cut_tensor>)
cli_script(sites 600 $<TARGET_FILE:make_bands>)
cli_script(modules 600)
cli_script(memory 600)
cli_script(quadranet 600 ${PROJECT_SOURCE_DIR}/recipes)
cli_script(nas 600)
# By plain loops these take minutes and say nothing that the builds with oneDNN do not.
if(FETTLE_DNNL)
  cli_script(rivals 600)
  cli_script(bench 600)
endif()
cli_script(example 120 $<TARGET_FILE:tune_merge_predict> $<TARGET_FILE:xor_neuron>)

fettle_test(cli_killed SOURCES ${cli_here}/test_cli_killed.c TIMEOUT 600)
target_compile_definitions(test_cli_killed PRIVATE FETTLE_PROGRAM="$<TARGET_FILE:fettle>")
add_dependencies(test_cli_killed fettle)

add_test(NAME library_symbols COMMAND sh ${cli_here}/symbols.sh $<TARGET_FILE:fettle_shared> $<TARGET_FILE:fettle_static>
  ${PROJECT_SOURCE_DIR}/include)
set_tests_properties(library_symbols PROPERTIES TIMEOUT 60)

# What an installation gives; sanitized objects would need the sanitizer's libraries on the compiler's command line.
if(NOT FETTLE_SANITIZE)
  add_test(NAME library_install COMMAND sh ${cli_here}/install.sh ${CMAKE_COMMAND} ${PROJECT_BINARY_DIR}
    ${PROJECT_SOURCE_DIR} ${CMAKE_C_COMPILER})
  set_tests_properties(library_install PROPERTIES TIMEOUT 120)
endif()
