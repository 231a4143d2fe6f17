/* namm_grad.h: a NAMM's network with its derivatives, in double: what it takes to fit one to a
 * target before evolution begins. The forward pass that runs is namm_net.c's. */
#ifndef MN_EVOLVE_NAMM_GRAD_H
#define MN_EVOLVE_NAMM_GRAD_H

#include "policy/namm_net.h"

/* score [n] of x [n][E], the oldest token first. What backward needs stays in work:
 * mn__namm_grad_doubles of them. */
void mn__namm_forward(const mn__namm_net *net, const double *param, const double *x, size_t n,
                      double *score, double *work);
/* grad [params] += d(sum of d_score[i] score[i]) / d(param), behind the forward pass of the same
 * arguments. */
void mn__namm_backward(const mn__namm_net *net, const double *param, const double *x, size_t n,
                       const double *d_score, double *grad, double *work);
size_t mn__namm_grad_doubles(const mn__namm_net *net, size_t n);

#endif
