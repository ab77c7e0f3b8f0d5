import { speak } from "./language.js";

speak({ ko: { title: '추첨 무대' }, en: { title: 'The stage' } });
