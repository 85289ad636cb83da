/* A database of SQLite in a file: what it answers, and whether it is whole. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
typedef struct sqlite3 sqlite3;
int sqlite3_open(const char *, sqlite3 **);
int sqlite3_close(sqlite3 *);
int sqlite3_exec(sqlite3 *, const char *, int (*)(void *, int, char **, char **), void *, char **);

static int row(void *unused, int count, char **values, char **names) {
    for (int i = 0; i < count; i++) printf("%s%s", values[i] ? values[i] : "NULL", i + 1 < count ? "|" : "\n");
    return 0;
}

int main(void) {
    static const char *const texts[] = {
        "create table t(id integer primary key, name text, value real); create index by_name on t(name)",
        "with recursive n(i) as (select 1 union all select i + 1 from n where i < 1500)"
        " insert into t select i, 'name' || (i * 7919 % 1009), i / 3.0 from n",
        "select count(*), sum(id), round(avg(value), 6), min(name), max(name) from t",
        "begin; update t set value = value * 2 where id % 3 = 0; delete from t where id % 10 = 7; rollback",
        "delete from t where name like 'name1%'; select count(*) from t",
        "select name, count(*) c, group_concat(id) from t group by name having c > 1 order by c desc, name limit 3",
        "select a.id, b.id from t a join t b on a.name = b.name and a.id < b.id order by 1, 2 limit 3",
        "select json_extract('{\"a\":[1,2,{\"b\":\"x\"}]}', '$.a[2].b'), printf('%08.3f', 3.14159), hex(zeroblob(4))",
        "select nothing from nowhere",
        "vacuum; pragma integrity_check; pragma page_count",
    };
    char path[64];
    sqlite3 *db;
    snprintf(path, sizeof path, "/tmp/mtemu-sql-%d.db", getpid());
    printf("open %d\n", sqlite3_open(path, &db));
    for (unsigned i = 0; i < sizeof texts / sizeof *texts; i++) {
        char *error = 0;
        if (sqlite3_exec(db, texts[i], row, 0, &error)) printf("error: %s\n", error);
    }
    printf("close %d, unlink %d\n", sqlite3_close(db), unlink(path));
    return 11;
}
