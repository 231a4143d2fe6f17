/* replay.c: runs a fuzz target over files and folders without a fuzzer: replay PATH... Each input
 * lies in a block of exactly its size, so that sanitizers see a read beyond either end. A crash is
 * the failure; the last line counts what ran. */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int n_passed, n_failed;

static void run_file(const char *path, size_t size)
{
    uint8_t *data = malloc(size ? size : 1);
    FILE *file = fopen(path, "rb");
    if (data && file && fread(data, 1, size, file) == size) {
        LLVMFuzzerTestOneInput(data, size);
        n_passed++;
    } else {
        fprintf(stderr, "%s: cannot read: %s\n", path, strerror(errno));
        n_failed++;
    }
    if (file) fclose(file);
    free(data);
}

static void run_path(const char *path)
{
    struct stat info;
    char inside[4096];
    if (stat(path, &info) == 0 && S_ISREG(info.st_mode)) {
        run_file(path, (size_t)info.st_size);
        return;
    }
    DIR *folder = opendir(path);
    if (!folder) {
        fprintf(stderr, "%s: cannot open: %s\n", path, strerror(errno));
        n_failed++;
        return;
    }
    for (struct dirent *e = readdir(folder); e; e = readdir(folder)) {
        if (e->d_name[0] == '.') continue;
        if (snprintf(inside, sizeof inside, "%s/%s", path, e->d_name) >= (int)sizeof inside)
            continue;
        run_path(inside);
    }
    closedir(folder);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) run_path(argv[i]);
    printf("%d passed, %d failed\n", n_passed, n_failed);
    return n_failed || !n_passed; /* an empty corpus proves nothing */
}
