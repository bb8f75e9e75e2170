# Own kernels against the reference: at the processor's level, and again held down to AVX2 and to no vectors at all.
foreach(part element group norm attention move depthwise quadratic)
  fettle_test(x86_${part} SOURCES op/test_x86_${part}.c op/x86_testing.c USES kernel)
  foreach(level avx2 base)
    add_test(NAME x86_${part}_${level} COMMAND test_x86_${part})
    set_tests_properties(x86_${part}_${level} PROPERTIES TIMEOUT 120
                         ENVIRONMENT "OMP_WAIT_POLICY=passive;FETTLE_CPU=${level}")
  endforeach()
endforeach()
