import { speak } from "./language.js";

speak({ ko: { title: '추첨 검증' }, en: { title: 'The proof' } });
