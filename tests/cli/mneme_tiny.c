/* mneme_tiny.c: mneme-tiny FILE ARCH [NAME=VALUE...]: a random model of a few hundred kilobytes for
 * the tests of the command. ctx=N trained context, dim=N head size, seed=N, q8=1 matrices as
 * Q8_0, skip=TENSOR leaves one out, grow=TENSOR gives it a row too many.
 * mneme-tiny FOLDER checkpoint [SECTION.KEY=VALUE...]: a checkpoint of a training at its start,
 * with a tokenizer beside it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tiny_checkpoint.h"
#include "tiny_model.h"

static bool take(tiny_model_params *p, const char *arg)
{
    const char *value = strchr(arg, '=');
    size_t n = value ? (size_t)(value - arg) : 0;
    if (!n) return false;
    value++;
    if (!strncmp(arg, "ctx", n))
        p->n_ctx = (uint32_t)strtoul(value, NULL, 10);
    else if (!strncmp(arg, "dim", n))
        p->head_dim = (uint32_t)strtoul(value, NULL, 10);
    else if (!strncmp(arg, "seed", n))
        p->seed = strtoul(value, NULL, 10);
    else if (!strncmp(arg, "q8", n))
        p->q8_0 = *value == '1';
    else if (!strncmp(arg, "skip", n))
        p->skip_tensor = value;
    else if (!strncmp(arg, "grow", n))
        p->grow_tensor = value;
    else
        return false;
    return true;
}

int main(int argc, char **argv)
{
    tiny_model_params p;
    if (argc < 3) {
        fprintf(stderr, "Usage: mneme-tiny FILE ARCH [NAME=VALUE...]\n");
        return 2;
    }
    if (strcmp(argv[2], "checkpoint") == 0)
        return tiny_checkpoint_write(argv[1], argv + 3, (size_t)argc - 3) ? 0 : 1;
    tiny_model_default(&p, argv[2]);
    for (int i = 3; i < argc; i++)
        if (!take(&p, argv[i])) {
            fprintf(stderr, "mneme-tiny: '%s' is not one of ctx=, dim=, seed=, q8=, skip=, grow=\n",
                    argv[i]);
            return 2;
        }
    return tiny_model_write(argv[1], &p) ? 0 : 1;
}
