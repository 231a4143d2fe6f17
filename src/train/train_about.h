/* train_about.h: what a training was started with, for people: train.ini and run.json. */
#ifndef MN_TRAIN_TRAIN_ABOUT_H
#define MN_TRAIN_TRAIN_ABOUT_H

#include "layer/peers.h"
#include "mneme/train.h"
#include "train/cost.h"
#include "train/train_data.h"

/* Every option of a checked config, as a file that gives the same one. MN_EIO, MN_ENOMEM. */
mn_status mn__train_ini_write(const char *path, const mn__config *c, mn_diag *diag);

typedef struct mn__train_about {
    const mn_train_params *params;
    const mn__config *config;
    const mn__train_data *data;
    const mn_cost *cost;
    uint64_t step; /* it begins or goes on at */
    int n_thread;
    double peak; /* FLOPs a second; 0: not known */
} mn__train_about;
/* run.json, with the starts that the file there tells of and this one. MN_EIO, MN_ENOMEM. */
mn_status mn__train_about_write(const char *path, const mn__train_about *about, mn_diag *diag);

/* Bytes that rank 0 has sent to others, by what for, to the last start. MN_EIO, MN_ENOMEM. */
mn_status mn__train_about_sent(const char *path, const uint64_t bytes[MN__PEERS_KINDS],
                               mn_diag *diag);

#endif
