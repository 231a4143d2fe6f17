/* test_eval_store_kill.c: a run that is killed at any moment, a disk that fills up, readers beside
 * a writer: no record is lost, none stands twice, and the file is sound. */
#include "unit/eval_store_fixture.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "base/rng.h"

enum { N_RECORD = 2000, N_KILL = 30, N_POLICY = 4 };

/* ---- a run that resumes ---- */

/* As eval does it: all records in order, those that are there passed by. One byte from `leave`
 * (-1: none is needed) before each that is new, one to `told` once it has been entered. Never
 * returns but by its exit code. */
static void run_or_resume(const char *path, int leave, int told)
{
    mn__store *s = NULL;
    mn__store_run r = store_run(1);
    mn__store_place at;
    store_sample x;
    bool has, added;
    char byte;
    if (mn__store_open(&s, path, MN_STORE_WRITE, NULL) != MN_OK) _exit(10);
    if (mn__store_add_run(s, &r, &at.run, NULL) != MN_OK) _exit(11);
    for (uint32_t i = 0; i < N_RECORD; i++) {
        store_fill(&x, i / N_POLICY, i % N_POLICY);
        if (mn__store_add_prompt(s, &x.prompt, &at.prompt, NULL) != MN_OK) _exit(12);
        if (mn__store_has_record(s, at, &x.record, &has, NULL) != MN_OK) _exit(13);
        if (has) continue;
        if (leave >= 0 && read(leave, &byte, 1) != 1) _exit(17);
        if (mn__store_add_record(s, at, &x.record, &added, NULL) != MN_OK) _exit(14);
        if (!added) _exit(15);
        if (write(told, "+", 1) != 1) _exit(16);
    }
    mn__store_close(s);
    _exit(0);
}

static void give_leave(int to, int n)
{
    char byte = '+';
    for (int i = 0; i < n; i++) assert_int_equal(write(to, &byte, 1), 1);
}

/* Start it, wait for `n_new` records and some microseconds, kill it (n_new < 0: let it end). It has
 * leave for a few more, should this process sleep meanwhile. How many records it told of. */
static int run_and_kill(const char *path, int n_new, uint32_t delay_us, int *status)
{
    enum { MORE = 16 };
    int told[2], leave[2], n = 0;
    char byte;
    assert_int_equal(pipe(told) | pipe(leave), 0);
    give_leave(leave[1], n_new + MORE);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        close(leave[1]); /* so that it ends with this process */
        run_or_resume(path, n_new < 0 ? -1 : leave[0], told[1]);
    }
    close(told[1]);
    while ((n_new < 0 || n < n_new) && read(told[0], &byte, 1) == 1) n++;
    if (n_new >= 0) {
        usleep(delay_us);
        kill(child, SIGKILL);
        while (read(told[0], &byte, 1) == 1) n++;
    }
    close(told[0]);
    close(leave[0]);
    close(leave[1]);
    assert_int_equal(waitpid(child, status, 0), child);
    return n;
}

static void expect_sound(const mn__store *s)
{
    assert_int_equal(
        store_number(s, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'"),
        1);
    assert_int_equal(store_number(s, "SELECT count(*) FROM pragma_foreign_key_check"), 0);
    assert_int_equal(store_number(s, "SELECT count(*) FROM record"),
                     store_number(s, "SELECT count(*) FROM (SELECT DISTINCT run, prompt, policy, "
                                     "budget, seed FROM record)"));
}

static mn_status tick(void *ctx, int64_t key, const mn__store_prompt *p, const mn__store_record *r)
{
    uint8_t *seen = ctx;
    store_sample x;
    uint32_t i_prompt = p->n_token - 100, i_policy = (uint32_t)r->policy_bytes;
    (void)key;
    store_fill(&x, i_prompt, i_policy);
    assert_string_equal(r->output, x.output);
    assert_int_equal(r->n_gold, x.record.n_gold);
    assert_memory_equal(r->nll, x.nll, r->n_gold * sizeof(float));
    seen[i_prompt * N_POLICY + i_policy]++;
    return MN_OK;
}

static void test_killed_and_resumed(void **state)
{
    (void)state;
    const char *path = store_path("killed");
    static uint8_t seen[N_RECORD];
    int status, n_cut = 0, n_told = 0;
    for (uint32_t k = 0; k < N_KILL; k++) { /* every third before its first record */
        int n_new = k % 3 == 0 ? 0 : (int)(80 * mn__rng_uniform(7, 1, k, 0));
        uint32_t delay = (uint32_t)((k % 3 == 0 ? 6000 : 400) * mn__rng_uniform(7, 2, k, 0));
        n_told += run_and_kill(path, n_new, delay, &status);
        n_cut += WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
        if (access(path, F_OK) != 0 || n_told == 0) continue; /* killed before it had begun */
        mn__store *s = store_open(path, MN_STORE_READ);
        expect_sound(s);
        /* What it told of is there; the last one may have been entered and not told. */
        int64_t n = store_number(s, "SELECT count(*) FROM record");
        assert_true(n >= n_told && n <= n_told + 1 + (int)k);
        mn__store_close(s);
    }
    assert_int_equal(n_cut, N_KILL); /* none was done before its kill */
    assert_true(n_told > N_RECORD / 4 && n_told < N_RECORD);
    run_and_kill(path, -1, 0, &status);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    mn__store *s = store_open(path, MN_STORE_READ);
    expect_sound(s);
    mn__store_query q = {.run = 1};
    assert_int_equal(mn__store_each_record(s, &q, tick, seen, NULL), MN_OK);
    for (int i = 0; i < N_RECORD; i++) assert_int_equal(seen[i], 1);
    assert_int_equal(store_number(s, "SELECT count(*) FROM run"), 1);
    mn__store_close(s);
    assert_int_equal(run_and_kill(path, -1, 0, &status),
                     0); /* and once more: nothing is left to do */
}

/* A shard whose writer was killed is merged with all that it told of. */
static void test_killed_shard_merges(void **state)
{
    (void)state;
    const char *path = store_path("rank1");
    mn__store_merged m;
    int status, n_told = run_and_kill(path, 300, 0, &status);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(access(store_path("rank1-wal"), F_OK), 0); /* not folded in */
    mn__store *s = store_open(store_path("rank0"), MN_STORE_WRITE);
    assert_int_equal(mn__store_merge(s, path, &m, NULL), MN_OK);
    assert_true((int64_t)m.n_record >= n_told && (int64_t)m.n_record <= n_told + 1);
    expect_sound(s);
    mn__store_close(s);
}

/* ---- full disks ---- */

/* Add records until one fails; how many went in. */
static uint32_t add_until_full(mn__store *s, int64_t run, uint32_t from, mn_status *st,
                               mn_diag *diag)
{
    store_sample x;
    mn__store_place at = {.run = run};
    for (uint32_t i = from;; i++) {
        store_fill(&x, i, 1);
        *st = mn__store_add_prompt(s, &x.prompt, &at.prompt, diag);
        if (*st == MN_OK) *st = mn__store_add_record(s, at, &x.record, NULL, diag);
        if (*st != MN_OK) return i;
        assert_true(i < 100000);
    }
}

static void test_full(void **state)
{
    (void)state;
    mn_diag diag = {""};
    mn_status st;
    const char *path = store_path("full");
    mn__store *s = store_open(path, MN_STORE_WRITE);
    int64_t run = store_add_range(s, 0, 5);
    store_number(s, "PRAGMA max_page_count=30");
    uint32_t n = add_until_full(s, run, 5, &st, &diag);
    assert_int_equal(st, MN_EIO);
    assert_non_null(strstr(diag.text, path));
    assert_non_null(strstr(diag.text, "the disk is full"));
    assert_true(n > 50);
    assert_int_equal(store_number(s, "SELECT count(*) FROM record"), n - 5 + 20);
    expect_sound(s);
    store_number(s, "PRAGMA max_page_count=60"); /* room is made: the same call goes through */
    uint32_t more = add_until_full(s, run, n, &st, &diag);
    assert_true(more > n + 50);
    assert_int_equal(store_number(s, "SELECT count(*) FROM record"), more - 5 + 20);
    mn__store_close(s);
    s = store_open(path, MN_STORE_READ);
    expect_sound(s);
    mn__store_close(s);
}

/* A merge that finds no room leaves nothing of itself. */
static void test_full_in_merge(void **state)
{
    (void)state;
    mn_diag diag = {""};
    mn__store_merged m;
    const char *shard = store_path("large");
    mn__store *s = store_open(shard, MN_STORE_WRITE);
    store_add_range(s, 0, 200);
    mn__store_close(s);
    s = store_open(store_path("small"), MN_STORE_WRITE);
    store_add_range(s, 190, 210);
    store_number(s, "PRAGMA max_page_count=40");
    assert_int_equal(mn__store_merge(s, shard, &m, &diag), MN_EIO);
    assert_non_null(strstr(diag.text, "the disk is full"));
    assert_int_equal(store_number(s, "SELECT count(*) FROM record"), 80);
    store_number(s, "PRAGMA max_page_count=100000");
    assert_int_equal(mn__store_merge(s, shard, &m, NULL), MN_OK);
    assert_true(m.n_record == 760 && m.n_duplicate == 40);
    expect_sound(s);
    mn__store_close(s);
}

/* The system itself refuses to let the files grow: in a child, whose limit it is. */
static int write_against_limit(const char *path)
{
    mn__store *s = NULL;
    mn_diag diag = {""};
    mn_status st;
    int64_t run;
    mn__store_run r = store_run(1);
    struct rlimit most = {1000000, 1000000};
    signal(SIGXFSZ, SIG_IGN);
    if (setrlimit(RLIMIT_FSIZE, &most) != 0) return 1;
    if (mn__store_open(&s, path, MN_STORE_WRITE, &diag) != MN_OK) return 2;
    if (mn__store_add_run(s, &r, &run, &diag) != MN_OK) return 3;
    uint32_t n = add_until_full(s, run, 0, &st, &diag);
    if (st != MN_EIO || !strstr(diag.text, path)) return 4;
    if (store_number(s, "SELECT count(*) FROM record") != n || n < 10) return 5;
    mn__store_close(s);
    return 0;
}

static void test_limit_of_file_size(void **state)
{
    (void)state;
    const char *path = store_path("limit");
    int status;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) _exit(write_against_limit(path));
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    mn__store *s = store_open(path, MN_STORE_WRITE); /* where there is room it goes on */
    expect_sound(s);
    assert_true(store_number(s, "SELECT count(*) FROM record") >= 10);
    mn__store_close(s);
}

/* ---- readers beside a writer ---- */

static void test_reader_beside_writer(void **state)
{
    (void)state;
    const char *path = store_path("live");
    int status, n_between = 0;
    mn__store *s = store_open(path, MN_STORE_WRITE);
    mn__store_close(s);
    int leave[2], unused[2];
    assert_int_equal(pipe(leave) | pipe(unused), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        close(leave[1]);
        run_or_resume(path, leave[0], unused[1]);
    }
    int64_t before = 0, n = 0, given = 0;
    s = store_open(path, MN_STORE_READ);
    while (n < N_RECORD) {
        static uint8_t seen[N_RECORD];
        memset(seen, 0, sizeof seen);
        mn__store_query q = {.run = 1};
        assert_int_equal(mn__store_each_record(s, &q, tick, seen, NULL), MN_OK);
        n = 0;
        for (int i = 0; i < N_RECORD; i++) n += seen[i];
        for (int i = 0; i < n; i++) assert_int_equal(seen[i], 1); /* a state that once was */
        assert_true(n >= before);
        n_between += n > before && n < N_RECORD;
        before = n;
        if (n == given && n < N_RECORD) { /* all that may be there is seen: the next hundred */
            give_leave(leave[1], 100);
            given += 100;
        }
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_true(n_between >= N_RECORD / 100 - 1); /* it did look while there was writing */
    mn__store_close(s);
    for (int i = 0; i < 2; i++) close(leave[i]), close(unused[i]);
}

/* Two processes that find no file make one together, and both write what the other has not. */
static void test_two_writers(void **state)
{
    (void)state;
    const char *path = store_path("both");
    pid_t child[2];
    int unused[2], n_lost = 0;
    assert_int_equal(pipe(unused), 0);
    for (int i = 0; i < 2; i++) {
        child[i] = fork();
        assert_true(child[i] >= 0);
        if (child[i] == 0) run_or_resume(path, -1, unused[1]);
    }
    for (int i = 0; i < 2; i++) {
        int status;
        assert_int_equal(waitpid(child[i], &status, 0), child[i]);
        assert_true(WIFEXITED(status)); /* 15: the other was faster at the same record */
        assert_true(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 15);
        n_lost += WEXITSTATUS(status) == 15;
    }
    assert_true(n_lost < 2);
    mn__store *s = store_open(path, MN_STORE_READ);
    expect_sound(s);
    assert_int_equal(store_number(s, "SELECT count(*) FROM record"), N_RECORD);
    mn__store_close(s);
    close(unused[0]);
    close(unused[1]);
}

/* The moment of making it, again and again: both wait at a pipe that is closed. */
static void test_two_makers(void **state)
{
    (void)state;
    for (int round = 0; round < 120; round++) {
        char name[32], byte;
        int start[2], status;
        pid_t child[2];
        snprintf(name, sizeof name, "made-%d", round);
        const char *path = store_path(name);
        assert_int_equal(pipe(start), 0);
        for (int i = 0; i < 2; i++) {
            child[i] = fork();
            assert_true(child[i] >= 0);
            if (child[i] == 0) {
                mn__store *s = NULL;
                close(start[1]);
                if (read(start[0], &byte, 1) != 0) _exit(1);
                _exit(mn__store_open(&s, path, MN_STORE_WRITE, NULL) == MN_OK ? 0 : 2);
            }
        }
        close(start[0]);
        close(start[1]);
        for (int i = 0; i < 2; i++) {
            assert_int_equal(waitpid(child[i], &status, 0), child[i]);
            assert_true(WIFEXITED(status));
            assert_int_equal(WEXITSTATUS(status), 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_killed_and_resumed),
        cmocka_unit_test(test_killed_shard_merges),
        cmocka_unit_test(test_full),
        cmocka_unit_test(test_full_in_merge),
        cmocka_unit_test(test_limit_of_file_size),
        cmocka_unit_test(test_reader_beside_writer),
        cmocka_unit_test(test_two_writers),
        cmocka_unit_test(test_two_makers),
    };
    return cmocka_run_group_tests(tests, store_folder_make, store_folder_remove);
}
