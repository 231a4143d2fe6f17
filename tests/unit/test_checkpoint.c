/* test_checkpoint.c: trainings that are killed go on to the same bits; files that are cut, of
 * another config or of other data. */
#include "train_fixture.h"
#include "train/checkpoint.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

static mn_diag diag, warning;
static mn__config config;
static counting source;
static char folder[] = P_tmpdir "/mneme-checkpoint-XXXXXX", path[64], before[64];

static int make_folder(void **state)
{
    (void)state;
    if (!mkdtemp(folder)) return -1;
    snprintf(path, sizeof path, "%s/run.gguf", folder);
    snprintf(before, sizeof before, "%s/run.gguf.1", folder);
    return 0;
}

static int fresh(void **state)
{
    (void)state;
    unlink(path);
    unlink(before);
    diag.text[0] = warning.text[0] = 0;
    return 0;
}

static int remove_folder(void **state)
{
    fresh(state);
    return rmdir(folder);
}

static mn__trainer *begin(const mn__config *c)
{
    mn__trainer *t;
    counting_init(&source, c);
    if (mn__trainer_new(&t, c, &source.source, NULL, &diag) != MN_OK) fail_msg("%s", diag.text);
    return t;
}

static void configure(mn__arch_kind arch, const char *option)
{
    small_config(&config, arch);
    set_option(&config, "train.steps=12");
    if (option) set_option(&config, option);
    finish_config(&config);
}

static void steps(mn__trainer *t, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (mn__trainer_step(t, &diag) != MN_OK) fail_msg("%s", diag.text);
}

static void save(mn__trainer *t)
{
    if (mn__checkpoint_save(path, t->learner, t->opt, t->team, source.source.identity, false,
                            &diag) != MN_OK)
        fail_msg("%s", diag.text);
}

static void assert_says(const mn_diag *d, const char *part)
{
    if (!strstr(d->text, part)) fail_msg("'%s' wanted in: %s", part, d->text);
}

static void assert_same(mn__trainer *a, mn__trainer *b)
{
    const size_t bytes = a->learner->n_w * sizeof *a->learner->w;
    mn__adamw_flush(a->opt, a->team);
    mn__adamw_flush(b->opt, b->team);
    assert_int_equal(a->opt->step, b->opt->step);
    assert_true(a->last.loss == b->last.loss);
    assert_true(a->last.norm == b->last.norm);
    assert_memory_equal(a->learner->w, b->learner->w, bytes);
    assert_memory_equal(a->opt->m, b->opt->m, bytes);
    assert_memory_equal(a->opt->v, b->opt->v, bytes);
    assert_memory_equal(a->learner->state, b->learner->state,
                        a->learner->n_state * sizeof *a->learner->state);
}

/* n steps at once, and the same with two ends in between. */
static void assert_goes_on(void)
{
    mn__trainer *whole = begin(&config);
    steps(whole, 12);
    mn__trainer *part = begin(&config);
    steps(part, 4);
    save(part);
    steps(part, 1); /* lost */
    mn__trainer_free(part);
    for (size_t end = 7; end <= 12; end += 5) {
        part = begin(&config);
        if (mn__trainer_resume(part, path, &warning, &diag) != MN_OK) fail_msg("%s", diag.text);
        steps(part, end - part->opt->step);
        save(part);
        if (end < 12) mn__trainer_free(part);
    }
    assert_string_equal(warning.text, "");
    assert_same(whole, part);
    mn__trainer_free(whole);
    mn__trainer_free(part);
}

static void test_same_bits(void **state)
{
    for (mn__arch_kind arch = MN__ARCH_DENSE; arch < MN__ARCH_KINDS; arch++) {
        fresh(state);
        configure(arch, NULL);
        assert_goes_on();
    }
    static const struct {
        mn__arch_kind arch;
        const char *option;
    } cases[] = {
        {MN__ARCH_DENSE, "model.mixer=performer"}, /* a projection that was drawn */
        {MN__ARCH_PKM, "memory.query_norm=batch"}, /* statistics that run */
        {MN__ARCH_PKM, "train.update=selective"},  /* rows left alone */
        {MN__ARCH_ULTRAMEM_V2, "train.update=dense"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fresh(state);
        configure(cases[i].arch, cases[i].option);
        assert_goes_on();
    }
}

/* A process that writes checkpoints is killed wherever it is. */
static void test_killed(void **state)
{
    (void)state;
    configure(MN__ARCH_ULTRAMEM, "report.save_every=1");
    const pid_t child = fork(); /* before this process has threads of its own */
    assert_true(child >= 0);
    if (!child) {
        const mn__train_hooks hooks = {.checkpoint = path};
        set_option(&config, "train.threads=1");
        mn__trainer *t = begin(&config);
        for (;;) { /* the same steps for as long as it lives */
            if (mn__trainer_run(t, &hooks, NULL) != MN_OK) _exit(1);
            mn__trainer_free(t);
            t = begin(&config);
        }
    }
    while (access(before, F_OK)) { /* two have been written */
        assert_int_equal(waitpid(child, NULL, WNOHANG), 0);
        usleep(1000);
    }
    usleep(20000);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    mn__trainer *whole = begin(&config), *t = begin(&config);
    steps(whole, 12);
    if (mn__trainer_resume(t, path, &warning, &diag) != MN_OK) fail_msg("%s", diag.text);
    assert_string_equal(warning.text, ""); /* PATH itself is whole at every moment */
    if (t->opt->step < 12) {
        steps(t, 12 - t->opt->step);
        assert_true(t->last.loss == whole->last.loss);
    }
    mn__adamw_flush(whole->opt, whole->team);
    mn__adamw_flush(t->opt, t->team);
    assert_memory_equal(whole->learner->w, t->learner->w, t->learner->n_w * sizeof *t->learner->w);
    mn__trainer_free(whole);
    mn__trainer_free(t);
    char command[96];
    snprintf(command, sizeof command, "rm -f %s/*.tmp-*", folder);
    assert_int_equal(system(command), 0);
}

static void flip_byte(const char *name, off_t at)
{
    unsigned char byte;
    const int fd = open(name, O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= 0x10;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    close(fd);
}

static void test_damaged(void **state)
{
    (void)state;
    struct stat info;
    configure(MN__ARCH_PKM, NULL);
    mn__trainer *t = begin(&config);
    assert_false(mn__checkpoint_exists(path));
    assert_int_equal(mn__trainer_resume(t, path, &warning, &diag), MN_EIO);
    steps(t, 2);
    save(t);
    assert_true(mn__checkpoint_exists(path));
    steps(t, 1);
    save(t);
    mn__trainer_free(t);

    t = begin(&config); /* cut */
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(truncate(path, info.st_size / 2), 0);
    assert_int_equal(mn__trainer_resume(t, path, &warning, &diag), MN_OK);
    assert_says(&warning, "the checkpoint before it, of step 2, is used");
    assert_int_equal(t->opt->step, 2);
    assert_true(t->has_bad_file);
    /* The next one must not put the cut file in the place of the good one. */
    mn__train_hooks hooks = {.checkpoint = path};
    assert_int_equal(mn__trainer_run(t, &hooks, &diag), MN_OK);
    mn__trainer_free(t);
    t = begin(&config);
    assert_int_equal(mn__trainer_resume(t, path, &warning, &diag), MN_OK);
    assert_int_equal(t->opt->step, 12);

    assert_int_equal(stat(path, &info), 0);
    flip_byte(path, info.st_size - 40); /* near the end: a tensor */
    assert_int_equal(mn__trainer_resume(t, path, &warning, &diag), MN_OK);
    assert_int_equal(t->opt->step, 2);
    assert_int_equal(unlink(before), 0);
    assert_int_equal(mn__trainer_resume(t, path, &warning, &diag), MN_EINPUT);
    assert_says(&diag, "checksum");
    mn__trainer_free(t);
}

/* Bytes changed anywhere: refused, or nowhere that matters. Cut anywhere: refused. */
static void test_every_place(void **state)
{
    enum { FLIPS = 97, CUTS = 23 };
    (void)state;
    struct stat info;
    configure(MN__ARCH_MOE, NULL);
    mn__trainer *t = begin(&config), *from = begin(&config);
    const size_t bytes = t->learner->n_w * sizeof *t->learner->w;
    size_t n_refused = 0;
    steps(from, 2);
    save(from);
    assert_int_equal(stat(path, &info), 0);
    for (size_t i = 0; i < FLIPS; i++) {
        const off_t at = info.st_size / FLIPS * (off_t)i + (off_t)i % 7;
        flip_byte(path, at);
        const mn_status st = mn__trainer_resume(t, path, &warning, &diag);
        n_refused += st == MN_EINPUT;
        if (st != MN_EINPUT && st != MN_OK)
            fail_msg("byte %lld: status %d: %s", (long long)at, (int)st, diag.text);
        if (st == MN_OK) assert_memory_equal(t->learner->w, from->learner->w, bytes);
        flip_byte(path, at);
    }
    assert_true(n_refused > FLIPS / 2); /* most are in tensors */
    for (size_t i = CUTS; i-- > 0;) {
        assert_int_equal(truncate(path, info.st_size / CUTS * (off_t)i), 0);
        const mn_status st = mn__trainer_resume(t, path, &warning, &diag);
        assert_true(st == MN_EINPUT || (i == 0 && st == MN_EIO)); /* an empty file */
    }
    mn__trainer_free(from);
    mn__trainer_free(t);
}

static void test_another(void **state)
{
    (void)state;
    configure(MN__ARCH_ULTRAMEM, NULL);
    mn__trainer *t = begin(&config);
    steps(t, 1);
    save(t);
    mn__trainer_free(t);

    mn__config inside;
    assert_int_equal(mn__checkpoint_config(path, &inside, &diag), MN_OK);
    assert_memory_equal(&inside, &config, sizeof config);

    set_option(&config, "train.rate=0.002");
    set_option(&config, "memory.rank=3");
    t = begin(&config);
    assert_int_equal(mn__trainer_resume(t, path, &warning, &diag), MN_EUSAGE);
    assert_says(&diag, "memory.rank = 3 wanted, 2 found");
    assert_int_equal(t->opt->step, 0);
    mn__trainer_free(t);

    config = inside; /* what may change does, other data may not */
    set_option(&config, "report.every=3");
    set_option(&config, "train.threads=1");
    t = begin(&config);
    assert_int_equal(mn__trainer_resume(t, path, &warning, &diag), MN_OK);
    source.source.identity++;
    assert_int_equal(mn__trainer_resume(t, path, &warning, &diag), MN_EUSAGE);
    assert_says(&diag, "on other data");
    mn__trainer_free(t);
}

/* What stood there before a failure still does. */
static void test_unwritable(void **state)
{
    (void)state;
    configure(MN__ARCH_DENSE, "report.save_every=2");
    char nowhere[96];
    snprintf(nowhere, sizeof nowhere, "%s/none/run.gguf", folder);
    const mn__train_hooks hooks = {.checkpoint = nowhere};
    mn__trainer *t = begin(&config);
    assert_int_equal(mn__trainer_run(t, &hooks, &diag), MN_EIO);
    assert_says(&diag, "no checkpoint has been written yet");
    assert_int_equal(t->opt->step, 2);
    mn__trainer_free(t);
}

/* A loss that is lost says what is not. */
static void test_last_good(void **state)
{
    (void)state;
    configure(MN__ARCH_DENSE, "report.save_every=5");
    const mn__train_hooks hooks = {.checkpoint = path};
    mn__trainer *t = begin(&config);
    steps(t, 3);
    save(t);
    assert_int_equal(mn__trainer_resume(t, path, &warning, &diag), MN_OK);
    t->learner->lm.embedding.w[0] = NAN;
    assert_int_equal(mn__trainer_run(t, &hooks, &diag), MN_EFAIL);
    assert_says(&diag, "value of embedding; the last good checkpoint, of step 3: ");
    assert_says(&diag, path);
    mn__trainer_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_killed, fresh),
        cmocka_unit_test_setup(test_same_bits, fresh),
        cmocka_unit_test_setup(test_damaged, fresh),
        cmocka_unit_test_setup(test_every_place, fresh),
        cmocka_unit_test_setup(test_another, fresh),
        cmocka_unit_test_setup(test_last_good, fresh),
        cmocka_unit_test_setup(test_unwritable, fresh),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
