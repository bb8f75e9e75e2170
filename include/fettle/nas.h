/* Searching a network for a device: so far the measuring of this machine. */
#ifndef FETTLE_NAS_H
#define FETTLE_NAS_H

#include "fettle/tune.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct fet_nas_profile_options {
    const char *frame; /* the network whose blocks are to be chosen, as --arch takes it; NULL: quadranet36_xxs */
    int repeats;       /* runs of a measurement, of which the median counts; 0: 100 */
    int check;         /* networks drawn from the space that are predicted and then measured; 0: 10, below 0: none */
    uint64_t seed;
} fet_nas_profile_options;
typedef struct fet_nas_profile_report {
    int entries, checked;
    double fixed_ms;                /* of everything besides blocks */
    double mean_error, worst_error; /* relative, of the networks that were predicted and measured */
} fet_nas_profile_report;
/* Measures every block of the frame's space (kernels 3, 5, 7 times expansions 2, 4, per stage; one image) and writes them to `out` as
 * JSON. An existing file is not replaced. */
FET_API fet_status fet_nas_profile(const fet_nas_profile_options *o, const char *out, fet_nas_profile_report *report);

#ifdef __cplusplus
}
#endif
#endif
