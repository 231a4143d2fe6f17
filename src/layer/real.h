/* real.h: the number that layers compute in. The library compiles src/layer in float; the tests
 * compile it a second time with MN_REAL_DOUBLE, so that finite differences prove the very loops
 * that run. The two never meet in one program. */
#ifndef MN_LAYER_REAL_H
#define MN_LAYER_REAL_H

#include <math.h>

#ifdef MN_REAL_DOUBLE
typedef double mn__real;
#define mn__exp   exp
#define mn__log   log
#define mn__sqrt  sqrt
#define mn__tanh  tanh
#define mn__erf   erf
#define mn__sin   sin
#define mn__cos   cos
#define mn__pow   pow
#define mn__fabs  fabs
#define mn__fmax  fmax
#define mn__fmin  fmin
#define mn__floor floor
#define mn__log1p log1p
#else
typedef float mn__real;
#define mn__exp   expf
#define mn__log   logf
#define mn__sqrt  sqrtf
#define mn__tanh  tanhf
#define mn__erf   erff
#define mn__sin   sinf
#define mn__cos   cosf
#define mn__pow   powf
#define mn__fabs  fabsf
#define mn__fmax  fmaxf
#define mn__fmin  fminf
#define mn__floor floorf
#define mn__log1p log1pf
#endif

#endif
