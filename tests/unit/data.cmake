# Tests of the layer data.
set(here ${CMAKE_CURRENT_LIST_DIR})
foreach(name csv reid dataset preprocess loader synth check real)
  fettle_test(data_${name} SOURCES ${here}/test_data_${name}.c ${here}/data_fixture.c USES data image base)
endforeach()
