/* state_fixture.h: sessions to files and back, and files as bytes, for the tests of session files.
 */
#ifndef STATE_FIXTURE_H
#define STATE_FIXTURE_H

#include "base/file.h"
#include "session_fixture.h"

static inline const char *file_path(void)
{
    return tiny_model_path("saved.session");
}

static inline void save(const mn_session *s, const char *path)
{
    mn_diag diag = {""};
    if (mn_session_save(s, path, &diag) != MN_OK) fail_msg("%s", diag.text);
}

static inline mn_session *load(const mn_model *m, const mn_session_params *p, const char *path)
{
    mn_session *s = NULL;
    mn_diag diag = {""};
    if (mn_session_load(&s, m, p, path, &diag) != MN_OK) fail_msg("%s", diag.text);
    return s;
}

typedef struct bytes {
    uint8_t *data;
    size_t size;
} bytes;

static inline bytes read_all(const char *path)
{
    mn__map map;
    mn_diag diag = {""};
    if (mn__map_open(&map, path, &diag) != MN_OK) fail_msg("%s", diag.text);
    bytes b = {malloc(map.size), map.size};
    assert_non_null(b.data);
    memcpy(b.data, map.data, map.size);
    mn__map_close(&map);
    return b;
}

static inline void write_all(const char *path, const uint8_t *data, size_t n)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, n, file), n);
    assert_int_equal(fclose(file), 0);
}

#endif
