/* Integer programs with more code and more kinds of data than the loops of loops.c, still in little memory. */
#include "kernels.h"

static u8 text[1 << 16], packed[1 << 17], unpacked[1 << 16];

/* --- Compression (of the family of LZ77, in the manner of LZ4) of words in a skewed order, and back --- */

static u8 vocabulary[256][12];

static void write_text(void) {
  restart_random();
  for (u64 i = 0; i < COUNT(vocabulary); i++) {
    const u64 length = 2 + next_random() % (sizeof vocabulary[0] - 3);
    for (u64 k = 0; k < length; k++) vocabulary[i][k] = (u8)('a' + next_random() % 26);
    vocabulary[i][length] = 0;
  }
  for (u64 at = 0; at < sizeof text;) {
    /* The product of two: small numbers more often than great ones. */
    const u8 *word = vocabulary[(next_random() & 15) * (next_random() & 15)];
    while (*word && at < sizeof text) text[at++] = *word++;
    if (at < sizeof text) text[at++] = next_random() % 8 ? ' ' : '\n';
  }
}

static u32 four_bytes(const u8 *at) { return at[0] | (u32)at[1] << 8 | (u32)at[2] << 16 | (u32)at[3] << 24; }

static u8 *write_length(u8 *out, u64 length) {
  for (; length >= 255; length -= 255) *out++ = 255;
  *out++ = (u8)length;
  return out;
}

/* Sequences of: count of literals, literals, distance (2 bytes, 0 at the end), length. */
static NOINLINE u64 compress(u8 *out, const u8 *from, u64 count) {
  static u16 heads[1 << 12], chain[sizeof text];
  const u8 *const begin = out;
  u64 literal = 0, at = 0;
  for (u64 i = 0; i < COUNT(heads); i++) heads[i] = 0;
  while (at + 8 < count) {
    const u32 hash = four_bytes(from + at) * 2654435761u >> 20;
    u64 best = 0, distance = 0, candidate = heads[hash];
    for (int tries = 0; tries < 6 && candidate; tries++) {
      const u64 start = candidate - 1;
      u64 length = 0;
      while (at + length < count && length < 1000 && from[start + length] == from[at + length]) length++;
      if (length > best) best = length, distance = at - start;
      candidate = chain[start];
    }
    const u64 step = best >= 4 ? best : 1;
    if (best >= 4) {
      out = write_length(out, at - literal);
      while (literal < at) *out++ = from[literal++];
      *out++ = (u8)distance;
      *out++ = (u8)(distance >> 8);
      out = write_length(out, best);
      literal = at + best;
    }
    for (const u64 end = at + step; at < end; at++) {
      if (at + 4 > count || at + 1 > 0xffff) continue;
      const u32 each = four_bytes(from + at) * 2654435761u >> 20;
      chain[at] = heads[each];
      heads[each] = (u16)(at + 1);
    }
  }
  out = write_length(out, count - literal);
  while (literal < count) *out++ = from[literal++];
  *out++ = 0;
  *out++ = 0;
  return (u64)(out - begin);
}

static u64 read_length(const u8 **in) {
  u64 length = 0;
  u8 byte;
  do length += byte = *(*in)++;
  while (byte == 255);
  return length;
}

static NOINLINE u64 decompress(u8 *out, const u8 *in) {
  const u8 *const begin = out;
  for (;;) {
    for (u64 literals = read_length(&in); literals; literals--) *out++ = *in++;
    const u64 distance = in[0] | (u64)in[1] << 8;
    in += 2;
    if (!distance) return (u64)(out - begin);
    for (u64 length = read_length(&in); length; length--, out++) *out = *(out - distance);
  }
}

u64 compression(u64 rounds) {
  u64 checksum = 0;
  write_text();
  while (rounds--) {
    const u64 size = compress(packed, text, sizeof text);
    checksum = mix(checksum, size);
    for (int times = 0; times < 8; times++) checksum = mix(checksum, decompress(unpacked, packed));
    u64 differences = 0;
    for (u64 i = 0; i < sizeof text; i++) differences += text[i] != unpacked[i];
    checksum = mix(checksum, differences);
    /* Another text for the next round. */
    for (u64 i = rounds & 15; i < sizeof text; i += 61) text[i] = packed[i % size];
  }
  return checksum;
}

/* --- A parser for JSON, by recursive descent, to a tree of nodes, and a walk over that --- */

struct json_node {
  enum { OBJECT, ARRAY, STRING, NUMBER, WORD } kind;
  u32 size;
  u64 value;
  struct json_node *first, *next;
};

static struct json_node json_nodes[1 << 14];
static u64 json_count;

static u8 *write_json(u8 *out, int depth) {
  static const char *const words[] = {"true", "false", "null"};
  switch (depth ? next_random() % 8 : next_random() % 8 | 4) {
    case 0:
    case 1: {
      *out++ = '{';
      for (u64 members = next_random() % 6, i = 0; i < members; i++) {
        if (i) *out++ = ',';
        *out++ = '"';
        for (u64 n = 3 + next_random() % 6; n; n--) *out++ = (u8)('a' + next_random() % 26);
        *out++ = '"', *out++ = ':', *out++ = ' ';
        out = write_json(out, depth - 1);
      }
      *out++ = '}';
      return out;
    }
    case 2:
    case 3: {
      *out++ = '[';
      for (u64 elements = next_random() % 6, i = 0; i < elements; i++) {
        if (i) *out++ = ',', *out++ = '\n';
        out = write_json(out, depth - 1);
      }
      *out++ = ']';
      return out;
    }
    case 4: {
      *out++ = '"';
      for (u64 n = next_random() % 24; n; n--) {
        const u8 c = (u8)(' ' + next_random() % 94);
        if (c == '"' || c == '\\') *out++ = '\\';
        *out++ = c;
      }
      *out++ = '"';
      return out;
    }
    case 5: {
      const char *word = words[next_random() % COUNT(words)];
      while (*word) *out++ = (u8)*word++;
      return out;
    }
    default: {
      if (next_random() & 1) *out++ = '-';
      for (u64 n = 1 + next_random() % 8; n; n--) *out++ = (u8)('0' + next_random() % 10);
      if (next_random() & 1) {
        *out++ = '.';
        for (u64 n = 1 + next_random() % 5; n; n--) *out++ = (u8)('0' + next_random() % 10);
      }
      return out;
    }
  }
}

static const u8 *skip_space(const u8 *in) {
  while (*in == ' ' || *in == '\n' || *in == '\t' || *in == '\r') in++;
  return in;
}

static const u8 *parse_string(const u8 *in, struct json_node *node) {
  u64 hash = 0xcbf29ce484222325;
  for (in++; *in != '"'; in++) {
    if (*in == '\\') in++;
    hash = mix(hash, *in);
    node->size++;
  }
  node->value ^= hash;
  return in + 1;
}

static const u8 *parse_number(const u8 *in, struct json_node *node) {
  const int isNegative = *in == '-';
  u64 value = 0, decimals = 0;
  for (in += isNegative; (*in >= '0' && *in <= '9') || *in == '.'; in++) {
    if (*in == '.') {
      decimals = 1;
      continue;
    }
    value = value * 10 + *in - '0';
    node->size += decimals != 0;
  }
  for (u64 more = node->size; more < 6; more++) value *= 10;
  node->value ^= isNegative ? -value : value;
  return in;
}

static const u8 *parse_value(const u8 *in, struct json_node **result) {
  struct json_node *node = &json_nodes[json_count++ % COUNT(json_nodes)];
  *node = (struct json_node){.kind = WORD};
  *result = node;
  in = skip_space(in);
  switch (*in) {
    case '{':
    case '[': {
      const u8 end = *in == '{' ? '}' : ']';
      struct json_node **link = &node->first;
      node->kind = end == '}' ? OBJECT : ARRAY;
      in = skip_space(in + 1);
      while (*in != end) {
        struct json_node key = {0};
        if (node->kind == OBJECT) in = skip_space(skip_space(parse_string(in, &key)) + 1);
        in = skip_space(parse_value(in, link));
        (*link)->value ^= key.value;
        link = &(*link)->next;
        node->size++;
        if (*in == ',') in = skip_space(in + 1);
      }
      return in + 1;
    }
    case '"':
      node->kind = STRING;
      return parse_string(in, node);
    case 't':
    case 'f':
    case 'n':
      for (; *in >= 'a' && *in <= 'z'; in++) node->value = node->value << 8 | *in;
      return in;
    default:
      node->kind = NUMBER;
      return parse_number(in, node);
  }
}

static u64 digest(const struct json_node *node) {
  u64 sum = mix(node->kind, node->size) + node->value;
  for (const struct json_node *child = node->first; child; child = child->next) sum = sum * 31 + digest(child);
  return sum;
}

u64 json(u64 rounds) {
  u64 checksum = 0;
  restart_random();
  u8 *end = text;
  *end++ = '[';
  /* What a value of this depth takes is far less than what is left free. */
  while (end < text + sizeof text - 0x4000) {
    if (end[-1] != '[') *end++ = ',', *end++ = ' ';
    end = write_json(end, 5);
  }
  *end++ = ']';
  *end = 0;
  while (rounds--) {
    struct json_node *root;
    json_count = 0;
    const u64 length = (u64)(parse_value(text, &root) - text);
    checksum = mix(checksum, digest(root) + length + json_count);
  }
  return checksum;
}

/* --- Regular expressions: compiled to nodes, matched with backtracking --- */

struct regex_step {
  enum { LITERAL, ANY, CLASS, SPLIT, JUMP, END } kind;
  u8 literal;
  u16 one, other;
  u64 set[4];
};

static struct regex_step regex_steps[128];
static u16 regex_length;

static u16 add_step(struct regex_step step) {
  regex_steps[regex_length] = step;
  return regex_length++;
}

/* Moves what begins at `from` one further, to make room before it. */
static void insert_split(u16 from) {
  for (u16 i = regex_length++; i > from; i--) {
    regex_steps[i] = regex_steps[i - 1];
    regex_steps[i].one += regex_steps[i].one >= from && regex_steps[i].kind >= SPLIT;
    regex_steps[i].other += regex_steps[i].other >= from && regex_steps[i].kind == SPLIT;
  }
}

static const char *compile_alternatives(const char *pattern);

static const char *compile_atom(const char *pattern) {
  struct regex_step step = {.kind = CLASS};
  switch (*pattern) {
    case '(':
      return compile_alternatives(pattern + 1) + 1;
    case '.':
      add_step((struct regex_step){.kind = ANY});
      return pattern + 1;
    case '[':
      for (pattern++; *pattern != ']'; pattern++) {
        const u8 last = (u8)(pattern[1] == '-' ? pattern[2] : *pattern);
        for (u64 c = (u8)*pattern; c <= last; c++) step.set[c >> 6] |= 1ul << (c & 63);
        if (pattern[1] == '-') pattern += 2;
      }
      add_step(step);
      return pattern + 1;
    default:
      add_step((struct regex_step){.kind = LITERAL, .literal = (u8)*pattern});
      return pattern + 1;
  }
}

static const char *compile_sequence(const char *pattern) {
  while (*pattern && *pattern != '|' && *pattern != ')') {
    const u16 from = regex_length;
    pattern = compile_atom(pattern);
    switch (*pattern) {
      case '*':
        insert_split(from);
        add_step((struct regex_step){.kind = JUMP, .one = from});
        regex_steps[from] = (struct regex_step){.kind = SPLIT, .one = (u16)(from + 1), .other = regex_length};
        pattern++;
        break;
      case '+':
        add_step((struct regex_step){.kind = SPLIT, .one = from, .other = (u16)(regex_length + 1)});
        pattern++;
        break;
      case '?':
        insert_split(from);
        regex_steps[from] = (struct regex_step){.kind = SPLIT, .one = (u16)(from + 1), .other = regex_length};
        pattern++;
        break;
      default:
    }
  }
  return pattern;
}

static const char *compile_alternatives(const char *pattern) {
  const u16 from = regex_length;
  pattern = compile_sequence(pattern);
  if (*pattern != '|') return pattern;
  insert_split(from);
  const u16 jump = add_step((struct regex_step){.kind = JUMP});
  regex_steps[from] = (struct regex_step){.kind = SPLIT, .one = (u16)(from + 1), .other = regex_length};
  pattern = compile_alternatives(pattern + 1);
  regex_steps[jump].one = regex_length;
  return pattern;
}

static NOINLINE const u8 *match(const struct regex_step *step, const u8 *at) {
  for (;;) switch (step->kind) {
      case LITERAL:
        if (*at++ != step->literal) return 0;
        step++;
        break;
      case ANY:
        if (*at == '\n' || !*at) return 0;
        at++, step++;
        break;
      case CLASS:
        if (!(step->set[*at >> 6] >> (*at & 63) & 1)) return 0;
        at++, step++;
        break;
      case SPLIT: {
        const u8 *end = match(regex_steps + step->one, at);
        if (end) return end;
        step = regex_steps + step->other;
        break;
      }
      case JUMP:
        step = regex_steps + step->one;
        break;
      case END:
        return at;
    }
}

u64 regex(u64 rounds) {
  static const char *const patterns[] = {
    "(ab|cd|e)+[f-m]x?",   "[aeiou][^z][aeiou]",  "q.*u",         "(th|sh|ch)[aeiou]+ ",
    "[a-m]*n[o-z]+\n",     "([a-d][e-h])+[i-l]?z", "x(y|z|[a-e]+w)", " [p-t]+(a|e[k-o]*)? ",
  };
  u64 checksum = 0;
  write_text();
  text[sizeof text - 1] = 0;
  for (u64 round = 0; round < rounds; round++) {
    regex_length = 0;
    compile_alternatives(patterns[round % COUNT(patterns)]);
    add_step((struct regex_step){.kind = END});
    u64 found = 0;
    for (const u8 *at = text; *at; at++) {
      const u8 *end = match(regex_steps, at);
      if (end) found += 1 + (u64)(end - at) * 65536;
    }
    checksum = mix(checksum, found);
  }
  return checksum;
}

/* --- Shortest paths (Dijkstra's algorithm) in a graph of few edges, with a binary heap --- */

enum { VERTICES = 4096, EDGES_EACH = 6 };

static struct {
  u32 to, weight;
} edges[VERTICES][EDGES_EACH];
static u32 distances[VERTICES], heap[VERTICES], heap_place[VERTICES], heap_size;

static void put_in_heap(u32 place, u32 vertex) {
  heap[place] = vertex;
  heap_place[vertex] = place;
}

static void rise(u32 place) {
  const u32 vertex = heap[place];
  while (place && distances[heap[(place - 1) / 2]] > distances[vertex]) {
    put_in_heap(place, heap[(place - 1) / 2]);
    place = (place - 1) / 2;
  }
  put_in_heap(place, vertex);
}

static u32 take_nearest(void) {
  const u32 nearest = heap[0], moved = heap[--heap_size];
  u32 place = 0;
  for (;;) {
    u32 child = 2 * place + 1;
    if (child >= heap_size) break;
    child += child + 1 < heap_size && distances[heap[child + 1]] < distances[heap[child]];
    if (distances[heap[child]] >= distances[moved]) break;
    put_in_heap(place, heap[child]);
    place = child;
  }
  put_in_heap(place, moved);
  return nearest;
}

u64 shortest_paths(u64 rounds) {
  u64 checksum = 0;
  restart_random();
  for (u32 i = 0; i < VERTICES; i++)
    for (u32 k = 0; k < EDGES_EACH; k++) {
      edges[i][k].to = k ? (u32)(next_random() % VERTICES) : (i + 1) % VERTICES;
      edges[i][k].weight = 1 + (u32)(next_random() % 1000);
    }
  for (u32 round = 0; round < rounds; round++) {
    for (u32 i = 0; i < VERTICES; i++) distances[i] = ~0u, put_in_heap(i, i);
    heap_size = VERTICES;
    const u32 start = round * 37 % VERTICES;
    distances[start] = 0;
    rise(heap_place[start]);
    u64 sum = 0;
    while (heap_size) {
      const u32 vertex = take_nearest();
      sum += distances[vertex];
      for (u32 k = 0; k < EDGES_EACH; k++) {
        const u32 to = edges[vertex][k].to, by = distances[vertex] + edges[vertex][k].weight;
        if (by >= distances[to]) continue;
        distances[to] = by;
        rise(heap_place[to]);
      }
    }
    checksum = mix(checksum, sum);
    edges[start][round % EDGES_EACH].weight += round & 255;
  }
  return checksum;
}

/* --- Sorting by merging, of elements of any size in any order: the comparison is a function of the caller's --- */

typedef int comparison(const void *a, const void *b);

static void copy_words(u64 *to, const u64 *from, u64 count) {
  while (count--) *to++ = *from++;
}

/* `size` in doublewords. */
static NOINLINE void merge_sort(u64 *from, u64 count, u64 size, comparison *compare, u64 *spare) {
  if (count < 2) return;
  const u64 half = count / 2;
  u64 *left = from, *right = from + half * size, *out = spare;
  merge_sort(left, half, size, compare, spare);
  merge_sort(right, count - half, size, compare, spare);
  const u64 *const middle = right, *const end = from + count * size;
  while (left < middle && right < end) {
    const int isRight = compare(left, right) > 0;
    copy_words(out, isRight ? right : left, size);
    if (isRight) right += size;
    else left += size;
    out += size;
  }
  copy_words(out, left, (u64)(middle - left));
  out += middle - left;
  copy_words(from, spare, (u64)(out - spare));
}

struct record {
  u32 number, weight;
  u8 name[16];
};

static int by_number(const void *a, const void *b) {
  const u32 one = ((const struct record *)a)->number, other = ((const struct record *)b)->number;
  return (one > other) - (one < other);
}

static int by_name(const void *a, const void *b) {
  const u8 *one = ((const struct record *)a)->name, *other = ((const struct record *)b)->name;
  while (*one && *one == *other) one++, other++;
  return *one - *other;
}

static int by_weight_and_name(const void *a, const void *b) {
  const s64 difference = (s64)((const struct record *)a)->weight - ((const struct record *)b)->weight;
  return difference ? (difference > 0) - (difference < 0) : by_name(a, b);
}

static struct record records[1 << 12], spare_records[1 << 12];

u64 sort_callback(u64 rounds) {
  static comparison *const orders[] = {by_number, by_name, by_weight_and_name};
  u64 checksum = 0;
  restart_random();
  while (rounds--) {
    for (u64 i = 0; i < COUNT(records); i++) {
      records[i].number = (u32)next_random();
      records[i].weight = next_random() % 64;
      for (u64 k = 0; k < 15; k++) records[i].name[k] = (u8)('a' + (k < 3 ? 0 : next_random() % 4));
    }
    for (u64 order = 0; order < COUNT(orders); order++) {
      merge_sort((u64 *)records, COUNT(records), sizeof records[0] / 8, orders[order], (u64 *)spare_records);
      for (u64 i = 0; i < COUNT(records); i += 256) checksum = mix(checksum, records[i].number);
    }
  }
  return checksum;
}

/* --- Objects of 64 classes in no order, with tables of functions --- */

struct object {
  u64 (*const *methods)(struct object *, u64);
  u64 value;
};

/* Four methods of class n; no two functions are the same. */
#define CLASS_OF(n)                                                                                                  \
  static u64 first_##n(struct object *o, u64 x) { return o->value += x ^ (n * 0x9e37); }                             \
  static u64 second_##n(struct object *o, u64 x) {                                                                   \
    o->value = o->value >> (n % 13 + 1) ^ x;                                                                         \
    return x + n;                                                                                                    \
  }                                                                                                                  \
  static u64 third_##n(struct object *o, u64 x) { return (x & 1 ? o->value * (n | 1) : o->value - n) + x; }          \
  static u64 fourth_##n(struct object *o, u64 x) {                                                                   \
    for (u64 i = x & 3; i; i--) o->value = o->value * 5 + n;                                                         \
    return o->value;                                                                                                 \
  }                                                                                                                  \
  static u64 (*const methods_##n[])(struct object *, u64) = {first_##n, second_##n, third_##n, fourth_##n};

#define EIGHT(X, n) X(n##0) X(n##1) X(n##2) X(n##3) X(n##4) X(n##5) X(n##6) X(n##7)
#define ALL(X) EIGHT(X, 1) EIGHT(X, 2) EIGHT(X, 3) EIGHT(X, 4) EIGHT(X, 5) EIGHT(X, 6) EIGHT(X, 7) EIGHT(X, 8)
ALL(CLASS_OF)

#define METHODS_OF(n) methods_##n,
static u64 (*const *const classes[])(struct object *, u64) = {ALL(METHODS_OF)};

u64 virtual_calls(u64 rounds) {
  static struct object objects[4096];
  u64 state = 1;
  restart_random();
  for (u64 i = 0; i < COUNT(objects); i++)
    objects[i] = (struct object){classes[next_random() % COUNT(classes)], next_random()};
  while (rounds--)
    for (u64 i = 0; i < COUNT(objects); i++) {
      struct object *object = &objects[i];
      state = object->methods[state >> 5 & 3](object, state);
    }
  return state;
}
