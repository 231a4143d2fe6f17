/* train_small.c: train a small language model on a text, and go on with it when called again.
 *
 *   train_small TEXT FOLDER [TOKENIZER.gguf]
 *
 * Build: cc train_small.c $(pkg-config --cflags --libs mneme) */
#include <math.h>
#include <mneme/train.h>
#include <stdio.h>

static void show_line(void *ctx, const mn_train_line *line)
{
    (void)ctx;
    printf("step %3llu: loss %.3f", (unsigned long long)line->step, line->loss);
    if (!isnan(line->valid_loss)) printf(", on what is held out %.3f", line->valid_loss);
    printf("\n");
}

static void show_sample(void *ctx, const mn_train_sample *sample)
{
    (void)ctx;
    printf("it writes: %s\n", sample->text);
}

static void show_note(void *ctx, const char *sentence)
{
    (void)ctx;
    printf("%s\n", sentence);
}

int main(int argc, char **argv)
{
    mn_diag diag = {{0}};
    mn_train_result result;
    mn_train_params p;
    char corpus[4096], tokenizer[4096];
    if (argc < 3 || argc > 4) {
        fprintf(stderr, "Usage: train_small TEXT FOLDER [TOKENIZER.gguf]\n");
        return 2;
    }
    snprintf(corpus, sizeof corpus, "data.corpus=%s", argv[1]);
    snprintf(tokenizer, sizeof tokenizer, "data.tokenizer=%s", argc > 3 ? argv[3] : "");
    const char *const set[] = {
        corpus,           tokenizer,         "data.valid_share=0.1", "model.arch=memory_plus",
        "model.width=64", "model.blocks=2",  "model.heads=2",        "memory.insert=0:1",
        "memory.keys=16", "memory.keep=4",   "train.batch=4",        "train.length=32",
        "train.steps=40", "train.rate=3e-3", "report.every=10",      "report.valid_rows=16",
    };
    mn_train_params_default(&p);
    p.set = set;
    p.n_set = sizeof set / sizeof *set;
    p.dir = argv[2];
    p.line = show_line;
    p.sample = show_sample;
    p.note = show_note;
    const mn_status st = mn_train_run(&p, &result, &diag);
    if (st != MN_OK) fprintf(stderr, "train_small: %s\n", diag.text);
    return mn_status_exit_code(st);
}
