import { speak } from "./language.js";

speak({ ko: { title: '경품 전달' }, en: { title: 'The prize desk' } });
