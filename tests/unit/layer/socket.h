/* socket.h: a layer behind the face of layers as a subject of differ(). */
#ifndef SOCKET_H
#define SOCKET_H

#include "differ.h"

typedef struct socket {
    mn__layer *layer;
    mn__shape s;
    uint64_t (*selected)(void *socket); /* or NULL */
} socket;

/* Declares the layer as "l" and compares its gradients. */
void socket_differ(socket *s, uint64_t seed);
/* A hash of n codes, for `selected`. */
uint64_t socket_hash(uint64_t h, const uint16_t *code, size_t n);

#endif
