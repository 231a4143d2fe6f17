/* sgemm.c: dnnl_sgemm on one thread, no signal meanwhile (decision 0021). */
#include "tensor/sgemm.h"

#ifdef MN_REF_PRODUCT
bool mn__sgemm_run(const mn__sgemm *p)
{
    (void)p;
    return false;
}
#else
#include <omp.h>
#include <oneapi/dnnl/dnnl.h>
#include "base/signals.h"

/* Two things about oneDNN (2.6). It splits a product over threads of OpenMP unless told that the
 * one that calls is all there is; OpenMP keeps that number per thread. And its code keeps values
 * below the stack pointer, further down than the 128 bytes that a signal's frame spares: a handler
 * that runs meanwhile, whatever it does, turns them into addresses that are written to. So signals
 * wait until the product is there; two system calls, some 0.5 us. */
bool mn__sgemm_run(const mn__sgemm *p)
{
    sigset_t before;
    const int n_thread = omp_get_max_threads();
    omp_set_num_threads(1);
    mn__signals_hold(&before);
    const dnnl_status_t st =
        dnnl_sgemm(p->turn_a ? 'T' : 'N', p->turn_b ? 'T' : 'N', (dnnl_dim_t)p->m, (dnnl_dim_t)p->n,
                   (dnnl_dim_t)p->k, 1, p->a, (dnnl_dim_t)p->ld_a, p->b, (dnnl_dim_t)p->ld_b,
                   p->add ? 1 : 0, p->c, (dnnl_dim_t)p->ld_c);
    mn__signals_release(&before);
    omp_set_num_threads(n_thread);
    return st == dnnl_success;
}
#endif
