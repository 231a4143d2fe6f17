/* archs.h: the architectures that archs.def lists. */
#ifndef MN_MODEL_ARCHS_H
#define MN_MODEL_ARCHS_H

#include "model/model.h"

#define MN__ARCH(name) extern const struct mn__arch mn__arch_##name;
#include "model/archs.def"
#undef MN__ARCH

#endif
