/** @file mneme.h  The whole of libmneme: transformers on CPUs whose KV cache forgets by policy.
 *
 *  Order of use: mn_model_open, mn_session_new, mn_session_read, mn_generate, mn_session_free,
 * mn_model_free. Every call that can fail returns mn_status and fills the caller's mn_diag with one
 * sentence. The library never prints, exits or reads the environment. */
#ifndef MNEME_H
#define MNEME_H

#include "mneme/eval.h"
#include "mneme/evolve.h"
#include "mneme/export.h"
#include "mneme/generate.h"
#include "mneme/inspect.h"
#include "mneme/layers.h"
#include "mneme/mem.h"
#include "mneme/model.h"
#include "mneme/namm.h"
#include "mneme/policy.h"
#include "mneme/sampler.h"
#include "mneme/session.h"
#include "mneme/status.h"
#include "mneme/text.h"
#include "mneme/train.h"
#include "mneme/watch.h"

#endif
