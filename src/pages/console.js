import { speak } from "./language.js";

speak({ ko: { title: '추첨 관리' }, en: { title: 'The console' } });
