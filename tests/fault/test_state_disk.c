/* test_state_disk.c: a disk that fills up, or a kill, while a session is saved: the old file stands
 * and loads. */
#include "unit/state_fixture.h"

#include <dirent.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static size_t count_temporaries(const char *path)
{
    size_t n = 0;
    char folder[256];
    snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/'), *name = slash + 1;
    *slash = '\0';
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (struct dirent *e = readdir(dir); e; e = readdir(dir))
        n += strncmp(e->d_name, name, strlen(name)) == 0 && strstr(e->d_name, ".tmp-") != NULL;
    closedir(dir);
    return n;
}

/* In a child whose files may not grow beyond a size: 0 when saving failed as it should. */
static int save_to_full_disk(const mn_session *s, const char *path, size_t limit)
{
    mn_diag diag = {""};
    struct rlimit most = {limit, limit};
    signal(SIGXFSZ, SIG_IGN);
    if (setrlimit(RLIMIT_FSIZE, &most) != 0) return 2;
    if (mn_session_save(s, path, &diag) != MN_EIO) return 3;
    return strstr(diag.text, path) && strstr(diag.text, "cannot write") ? 0 : 4;
}

static void test_full_disk(void **state)
{
    (void)state;
    const char *path = file_path();
    mn_model *m = fix_model("llama");
    mn_session_params p = fix_params("full", "");
    mn_session *s = fix_session(m, &p);
    fix_read(s, 0, 100, true);
    save(s, path);
    bytes old = read_all(path);
    fix_read(s, 100, 300, true);
    for (size_t limit = 0; limit < old.size; limit += old.size / 3) {
        int status;
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) _exit(save_to_full_disk(s, path, limit));
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
        bytes now = read_all(path);
        assert_int_equal(now.size, old.size);
        assert_memory_equal(now.data, old.data, old.size);
        free(now.data);
        assert_int_equal(count_temporaries(path), 0);
    }
    free(old.data);
    mn_session_free(s);
    mn_model_free(m);
    remove(path);
}

/* A child that saves again and again is killed; until one was hit while writing. */
static void test_kill(void **state)
{
    (void)state;
    const char *path = file_path();
    char name[300];
    mn_model *m = fix_model("llama");
    mn_session_params p = fix_params("h2o", "600");
    mn_session *s = fix_session(m, &p);
    fix_read(s, 0, 500, true);
    save(s, path);
    float *want = fix_keep(m, fix_write(s, 500, 1));
    size_t n_hit = 0;
    mn_session_rewind(s, 1, NULL);
    for (unsigned i = 0; i < 200 && n_hit < 3; i++) {
        pid_t child = fork();
        assert_true(child >= 0);
        while (child == 0)
            if (mn_session_save(s, path, NULL) != MN_OK) _exit(1);
        usleep(3000 + i * 700);
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        snprintf(name, sizeof name, "%s.tmp-%ld", path, (long)child);
        n_hit += remove(name) == 0;
        mn_session *back = load(m, &p, path);
        fix_same(m, want, fix_write(back, 500, 1), "after a kill");
        mn_session_free(back);
    }
    assert_true(n_hit > 0);
    free(want);
    mn_session_free(s);
    mn_model_free(m);
    remove(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_full_disk),
        cmocka_unit_test(test_kill),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
