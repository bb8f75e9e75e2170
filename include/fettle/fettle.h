/* The whole public interface of libfettle. Each header also stands alone. */
#ifndef FETTLE_H
#define FETTLE_H

#include "fettle/bench.h"
#include "fettle/data.h"
#include "fettle/meta.h"
#include "fettle/model.h"
#include "fettle/nas.h"
#include "fettle/reid.h"
#include "fettle/status.h"
#include "fettle/tune.h"
#include "fettle/types.h"

#endif
