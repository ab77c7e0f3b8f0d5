import { speak } from "./language.js";

speak({ ko: { title: '내 추첨 번호' }, en: { title: 'Your number' } });
