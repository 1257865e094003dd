/* An implementation in one file of C, as an adapter: LSTM and GRU in float32, in plain loops.
 *
 *   cc -O2 -o plain plain.c -lm
 *   rnn-conformance run --adapter "cmd:./plain"
 *
 * It answers the requests of spec/protocol.md on standard input and output, and says "unsupported" to whatever it does not know.
 */
#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- JSON: values as a tree; what a request needs, no more ------------------------------------------------- */

typedef struct Value Value;
struct Value {
  char kind; /* o object, a array, s string, n number, t true, f false, 0 null */
  char *key, *text;
  double number;
  int real; /* a number written as no integer: 4.0 is not 4 */
  Value *first, *next;
};

static const char *at;

static void space(void) {
  while (*at == ' ' || *at == '\t' || *at == '\r' || *at == '\n') at++;
}

/* The characters up to the closing quote; escapes stay as they are: no name that matters has any. */
static char *string(void) {
  const char *start = ++at;
  while (*at && *at != '"') at += *at == '\\' && at[1] ? 2 : 1;
  char *found = calloc(at - start + 1, 1);
  memcpy(found, start, at - start);
  if (*at) at++;
  return found;
}

static Value *value(void) {
  Value *v = calloc(1, sizeof *v), **last = &v->first;
  space();
  if (*at == '{' || *at == '[') {
    char close = *at == '{' ? '}' : ']';
    v->kind = *at++ == '{' ? 'o' : 'a';
    for (space(); *at && *at != close; space()) {
      char *key = NULL;
      if (*at == ',') at++, space();
      if (v->kind == 'o') {
        key = string();
        space();
        at++; /* the colon */
      }
      *last = value();
      (*last)->key = key;
      last = &(*last)->next;
    }
    if (*at) at++;
  } else if (*at == '"') {
    v->kind = 's', v->text = string();
  } else if (*at == 't' || *at == 'f' || *at == 'n') {
    v->kind = *at == 'n' ? 0 : *at;
    while (*at >= 'a' && *at <= 'z') at++;
  } else {
    char *end;
    v->kind = 'n', v->number = strtod(at, &end);
    if (end == at) at++; /* what no JSON has */
    for (; at < end; at++) v->real |= *at == '.' || *at == 'e' || *at == 'E';
  }
  return v;
}

static void drop(Value *v) {
  while (v) {
    Value *next = v->next;
    drop(v->first);
    free(v->key), free(v->text), free(v);
    v = next;
  }
}

static Value *get(const Value *object, const char *key) {
  for (Value *v = object ? object->first : NULL; v; v = v->next)
    if (v->key && !strcmp(v->key, key)) return v->kind ? v : NULL;
  return NULL;
}

static int is(const Value *object, const char *key, const char *text) {
  Value *v = get(object, key);
  return v && v->kind == 's' && !strcmp(v->text, text);
}

static int flag(const Value *object, const char *key) {
  Value *v = get(object, key);
  return v && v->kind == 't';
}

/* --- tensors ------------------------------------------------------------------------------------------------ */

typedef struct {
  int rank, shape[4];
  unsigned char *data; /* float32, or bytes of 0 and 1 */
} Tensor;

static const char ALPHABET[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static Tensor decoded(const Value *message) {
  Tensor t = {0};
  Value *shape = get(message, "shape"), *data = get(message, "data");
  for (Value *v = shape ? shape->first : NULL; v && t.rank < 4; v = v->next) t.shape[t.rank++] = (int)v->number;
  const char *text = data ? data->text : "";
  unsigned char *out = t.data = malloc(strlen(text) + 4);
  uint32_t bits = 0;
  int count = 0;
  for (; *text && *text != '='; text++) {
    bits = bits << 6 | (uint32_t)(strchr(ALPHABET, *text) - ALPHABET);
    if ((count += 6) >= 8) *out++ = (unsigned char)(bits >> (count -= 8));
  }
  return t;
}

static void encode(const float *array, int rank, const int *shape) {
  size_t size = sizeof(float);
  printf("{\"dtype\": \"float32\", \"shape\": [");
  for (int k = 0; k < rank; k++) printf("%s%d", k ? ", " : "", shape[k]), size *= (size_t)shape[k];
  printf("], \"data\": \"");
  const unsigned char *bytes = (const unsigned char *)array;
  for (size_t k = 0; k < size; k += 3) {
    size_t left = size - k;
    uint32_t bits = (uint32_t)bytes[k] << 16 | (left > 1 ? (uint32_t)bytes[k + 1] << 8 : 0) | (left > 2 ? bytes[k + 2] : 0);
    putchar(ALPHABET[bits >> 18 & 63]), putchar(ALPHABET[bits >> 12 & 63]);
    putchar(left > 1 ? ALPHABET[bits >> 6 & 63] : '='), putchar(left > 2 ? ALPHABET[bits & 63] : '=');
  }
  printf("\"}");
}

/* --- the layer ---------------------------------------------------------------------------------------------- */

static struct {
  int lstm, gates, F, U;
  int sequences, state, backwards, time_major, zero_masked, use_bias, reset_after, initial;
  float *kernel, *recurrent, *bias;
} layer;

static float sigmoid(float x) { return x >= 0 ? 1 / (1 + expf(-x)) : expf(x) / (1 + expf(x)); }

/* One step of one row: h [U] and c [U] become the next ones (LSTM-EQ, GRU-EQ). */
static void step(const float *x, float *h, float *c, float *z, float *r) {
  int U = layer.U, n = layer.gates * U;
  const float *second = layer.bias + (layer.lstm || !layer.reset_after ? 0 : n);
  for (int j = 0; j < n; j++) {
    z[j] = layer.use_bias ? layer.bias[j] : 0;
    r[j] = layer.use_bias && !layer.lstm && layer.reset_after ? second[j] : 0;
    for (int k = 0; k < layer.F; k++) z[j] += x[k] * layer.kernel[k * n + j];
    for (int k = 0; k < U; k++) r[j] += h[k] * layer.recurrent[k * n + j];
  }
  if (layer.lstm) {
    for (int u = 0; u < U; u++) {
      float i = sigmoid(z[u] + r[u]), f = sigmoid(z[U + u] + r[U + u]), g = tanhf(z[2 * U + u] + r[2 * U + u]);
      c[u] = f * c[u] + i * g;
      h[u] = sigmoid(z[3 * U + u] + r[3 * U + u]) * tanhf(c[u]);
    }
    return;
  }
  for (int j = 0; j < 2 * U; j++) z[j] = sigmoid(z[j] + r[j]); /* the update and the reset gate */
  if (!layer.reset_after)
    for (int u = 0; u < U; u++) {
      r[2 * U + u] = 0;
      for (int k = 0; k < U; k++) r[2 * U + u] += z[U + k] * h[k] * layer.recurrent[k * n + 2 * U + u];
    }
  for (int u = 0; u < U; u++) {
    float reset = layer.reset_after ? z[U + u] * r[2 * U + u] : r[2 * U + u];
    r[u] = z[u] * h[u] + (1 - z[u]) * tanhf(z[2 * U + u] + reset);
  }
  memcpy(h, r, sizeof(float) * (size_t)U);
}

/* --- requests ----------------------------------------------------------------------------------------------- */

static int id;

static void unsupported(const char *clause, const char *format, ...) {
  va_list rest;
  printf("{\"id\": %d, \"unsupported\": {\"clause\": \"%s\", \"reason\": \"", id, clause);
  va_start(rest, format), vprintf(format, rest), va_end(rest);
  printf("\"}}\n");
}

static void refused(const char *text) {
  printf("{\"id\": %d, \"refused\": {\"type\": \"ValueError\", \"text\": \"%s\", \"where\": \"plain.c\"}}\n", id, text);
}

static const char *FLAGS[] = {"return_sequences", "return_state", "go_backwards", "time_major", "zero_output_for_mask", "use_bias", "reset_after", NULL};

static void build(const Value *spec) {
  const Value *arguments = get(spec, "arguments"), *size = get(spec, "size");
  for (const Value *v = arguments->first; v; v = v->next) {
    int known = !strcmp(v->key, "units");
    for (const char **name = FLAGS; *name; name++) known |= !strcmp(v->key, *name);
    int plain = v->kind == 0 || v->kind == 'f' || (v->kind == 'n' && v->number == 0) || (v->kind == 's' && !strcmp(v->text, "none"));
    if (!strcmp(v->key, "activation")) known = v->kind == 's' && !strcmp(v->text, "tanh"), plain = 0;
    if (!strcmp(v->key, "recurrent_activation")) known = v->kind == 's' && !strcmp(v->text, "sigmoid"), plain = 0;
    if (!known && !plain && !(!strcmp(v->key, "trainable") && v->kind == 't')) {
      unsupported("ERR-3", "plain.c does not know this value of %s", v->key);
      return;
    }
  }
  if (get(spec, "declared")->first) { unsupported("SHAPE-2", "plain.c takes no declarations of the input"); return; }
  if (get(spec, "positional")->first) { unsupported("ERR-3", "plain.c takes arguments by name"); return; }
  if (get(spec, "seed")) { unsupported("INIT-1", "plain.c makes no weights of its own"); return; }
  if (get(spec, "num_layers")->number > 1) { unsupported("NET-1", "plain.c has single layers"); return; }
  if (flag(spec, "bidirectional")) { unsupported("NET-2", "plain.c has layers of one direction"); return; }
  const Value *units = get(arguments, "units");
  if (!units || units->kind != 'n' || units->real || units->number < 1) {
    refused("units must be a positive integer");
    return;
  }
  layer.lstm = is(spec, "layer", "LSTM");
  layer.gates = layer.lstm ? 4 : 3;
  layer.U = (int)units->number, layer.F = (int)get(size, "F")->number;
  layer.sequences = flag(arguments, "return_sequences"), layer.state = flag(arguments, "return_state");
  layer.backwards = flag(arguments, "go_backwards"), layer.time_major = flag(arguments, "time_major");
  layer.zero_masked = flag(arguments, "zero_output_for_mask"), layer.use_bias = flag(arguments, "use_bias");
  layer.reset_after = flag(arguments, "reset_after");
  printf("{\"id\": %d, \"ok\": {}}\n", id);
}

static void set_weights(const Value *weights) {
  static const char *NAMES[] = {"kernel", "recurrent_kernel", "bias"};
  float **places[] = {&layer.kernel, &layer.recurrent, &layer.bias};
  int n = layer.gates * layer.U, given = 0, wanted = layer.use_bias ? 3 : 2;
  for (const Value *v = weights->first; v; v = v->next) given++;
  if (given != wanted) { refused("another number of weights than the layer has"); return; }
  for (int k = 0; k < wanted; k++) {
    Tensor t = decoded(get(weights, NAMES[k]));
    int two = k < 2 || (!layer.lstm && layer.reset_after), rows = k == 0 ? layer.F : k == 1 ? layer.U : 2;
    if (t.rank != (two ? 2 : 1) || (two && t.shape[0] != rows) || t.shape[t.rank - 1] != n) {
      free(t.data);
      refused("a weight has another shape than the layer's");
      return;
    }
    free(*places[k]), *places[k] = (float *)t.data;
  }
  printf("{\"id\": %d, \"ok\": {}}\n", id);
}

static void call(const Value *request) {
  Tensor x = decoded(get(request, "inputs")), mask = {0}, start[2] = {{0}};
  int states = layer.lstm ? 2 : 1, given = 0, U = layer.U;
  if (get(request, "training")) { unsupported("DROP-1", "plain.c has no training mode"); return; }
  if (x.rank != 3) { refused(x.rank == 2 ? "expected ndim=3, found ndim=2" : "expected ndim=3, found ndim=4"); return; }
  if (x.shape[2] != layer.F) { refused("another number of features than the layer was built for"); return; }
  int B = x.shape[layer.time_major], T = x.shape[!layer.time_major];
  if (!T) { refused("an input needs at least one time step"); return; }
  if (get(request, "mask")) {
    mask = decoded(get(request, "mask"));
    if (mask.rank != 2 || mask.shape[0] != x.shape[0] || mask.shape[1] != x.shape[1]) { refused("the mask has another shape than the input"); return; }
  }
  for (Value *v = get(request, "initial_state") ? get(request, "initial_state")->first : NULL; v; v = v->next) {
    if (given == states) { refused("too many initial states"); return; }
    Tensor t = start[given++] = decoded(v);
    if (t.rank != 2 || t.shape[0] != B || t.shape[1] != U) { refused("an initial state has another shape than [B, U]"); return; }
  }
  if (get(request, "initial_state") && given != states) { refused("too few initial states"); return; }
  float *h = calloc((size_t)(B * U + 1), 4), *c = calloc((size_t)(B * U + 1), 4), *last = calloc((size_t)(B * U + 1), 4);
  float *outputs = calloc((size_t)(B * T * U + 1), 4), *work = calloc((size_t)(2 * layer.gates * U), 4);
  if (given) memcpy(h, start[0].data, sizeof(float) * (size_t)(B * U));
  if (given == 2) memcpy(c, start[1].data, sizeof(float) * (size_t)(B * U));
  for (int k = 0; k < T; k++) {
    int t = layer.backwards ? T - 1 - k : k;
    for (int b = 0; b < B; b++) {
      int row = layer.time_major ? t * B + b : b * T + t, to = layer.time_major ? k * B + b : b * T + k;
      int valid = !mask.data || mask.data[row];
      if (valid) {
        step((float *)x.data + row * layer.F, h + b * U, c + b * U, work, work + layer.gates * U);
        memcpy(last + b * U, h + b * U, sizeof(float) * (size_t)U);
      } else if (layer.zero_masked) {
        memset(last + b * U, 0, sizeof(float) * (size_t)U);
      }
      memcpy(outputs + to * U, last + b * U, sizeof(float) * (size_t)U);
    }
  }
  printf("{\"id\": %d, \"ok\": {\"mode\": \"native\", \"outputs\": [", id);
  if (layer.sequences) encode(outputs, 3, (int[]){x.shape[0], x.shape[1], U});
  else encode(last, 2, (int[]){B, U});
  for (int k = 0; layer.state && k < states; k++) printf(", "), encode(k ? c : h, 2, (int[]){B, U});
  printf("]}}\n");
  free(h), free(c), free(last), free(outputs), free(work), free(x.data), free(mask.data), free(start[0].data), free(start[1].data);
}

int main(void) {
  size_t room = 1 << 16, length = 0;
  char *line = malloc(room);
  for (;;) {
    int found = getchar();
    if (found == EOF) return 0;
    if (length + 1 >= room) line = realloc(line, room *= 2);
    line[length++] = (char)found;
    if (found != '\n') continue;
    line[length] = 0, length = 0;
    at = line;
    Value *request = value();
    id = (int)get(request, "id")->number;
    if (is(request, "do", "stop")) return 0;
    else if (is(request, "do", "describe"))
      printf("{\"id\": %d, \"ok\": {\"protocol\": 1, \"framework\": \"plain.c\", \"version\": \"1.0\", \"devices\": [\"cpu\"], \"dtypes\": {\"float32\": null}}}\n", id);
    else if (is(request, "do", "build")) build(get(request, "spec"));
    else if (is(request, "do", "set_weights")) set_weights(get(request, "weights"));
    else if (is(request, "do", "call")) call(request);
    else unsupported("CALL-1", "plain.c knows no request %s", get(request, "do")->text);
    fflush(stdout);
    drop(request);
  }
}
