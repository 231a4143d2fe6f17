/* ref.h: names of the plain kernels, mn__<kernel>_ref, one for every line of kern.def. */
#ifndef MN_KERN_REF_H
#define MN_KERN_REF_H

#include "kern/kern.h"

#define MN_KERN(name, args, tol) void mn__##name##_ref args;
#include "kern/kern.def"
#undef MN_KERN

#endif
