/** What a `TranslationThread` runs. */
import type { TranslationOrder, TranslationTarget } from '../cpu/translation-service.js';
import { orderTranslator } from '../cpu/translation-service.js';
import { eagerly } from '../host/node/webassembly.js';
import { serveMessages } from '../host/node/worker-thread.js';

serveMessages((target) => {
  const translate = orderTranslator(target as TranslationTarget, eagerly);
  return (orders) => translate(orders as readonly TranslationOrder[]);
});
