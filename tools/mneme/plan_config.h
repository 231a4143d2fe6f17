/* plan_config.h: what a config of a training costs. */
#ifndef MNEME_PLAN_CONFIG_H
#define MNEME_PLAN_CONFIG_H

#include "args.h"

/* mneme plan CONFIG: what it is; parameters, FLOPs and bytes by the papers' formulas and by
 * counting. */
mn_status plan_config(const args *a, mn_diag *diag);

#endif
